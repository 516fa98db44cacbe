"use strict";
{
const MOST_LINES = 1500, MOST_CURVES = 60, MOST_ROWS = 20, MOST_TICKS = 12;
const OTHER_COLORS = ["var(--pre)", "var(--post)", "#009e73", "#cc79a7", "#e69f00", "#56b4e9", "#8a6fd1", "#9a8f2c"];
const root = document.getElementById("explorer"), $ = name => document.getElementById(`explorer-${name}`);

const element = (tag, text, more = {}) => Object.assign(document.createElement(tag), {textContent: text}, more);
const clean = number => Number(number.toPrecision(4));
const written = number => number === null ? "–" : String(clean(number)).replace("-", "\u2212");
const many = (n, what) => `${n.toLocaleString("en")} ${what}${n === 1 ? "" : "s"}`;

/** At most so many of what there is, evenly. */
const few = (some, most) => some.length <= most ? some : Array.from({length: Math.ceil(most)}, (_, i) => some[Math.floor(i * some.length / most)]);

/** A column's value of a lane, or any number of its scale, as text. */
const said = (column, value) => column.levels ? column.levels[value] ?? "" : written(value);

const explore = data => {
  const columns = new Map([...data.factors, ...data.metrics].map(column => [column.name, column]));
  const curves = new Map(data.curves.map(curve => [curve.name, curve]));
  const factors = data.factors, all = [...factors[0].values.keys()];
  const choices = $("choices").elements, keep = $("keep").elements;
  const filters = new Map();  // column -> [low, high]
  const charts = Object.fromEntries(["scatter", "curves", "parallel"].map(name => [name, echarts.init($(name))]));
  let hovered = null, kept = all;

  const fill = (select, from, first) => {
    select.replaceChildren(...from.map(({name, label}) => element("option", label, {value: name})));
    select.value = first.find(name => from.some(column => column.name === name)) ?? from[0].name;
  };
  const varied = factors.filter(({name, levels}) => name !== "seed" && levels.length > 1);
  fill(choices.x, [...columns.values()], ["dropout_rate", varied.at(-1)?.name ?? "seed"]);
  fill(choices.y, [...data.metrics, ...factors], ["final_test_accuracy"]);
  fill(choices.color, factors, ["placement", varied[0]?.name]);
  fill(choices.curve, data.curves, ["test_loss"]);
  fill(keep.column, [...columns.values()], []);

  const style = name => getComputedStyle(root).getPropertyValue(`--${name}`).trim();
  const colorOf = (column, level) => {
    const own = data.colors[column.levels[level]];
    if (column.name === "placement" && own) return style(own);
    const n = column.levels.length;
    return n <= OTHER_COLORS.length ? OTHER_COLORS[level].replace(/var\(--(.*)\)/, (_, name) => style(name)) : `hsl(${265 - 225 * level / (n - 1)} 60% 52%)`;
  };
  const axis = (column, log = false) => ({
    type: log && !column.levels ? "log" : "value", name: column.label, nameLocation: "middle", scale: true,
    ...(column.levels && {min: -0.5, max: column.levels.length - 0.5}),
    nameTextStyle: {color: style("muted")}, splitLine: {show: !column.levels, lineStyle: {color: style("grid")}},
    axisLine: {onZero: false, lineStyle: {color: style("muted")}}, axisTick: {customValues: places(column)},
    axisLabel: {customValues: places(column), color: style("ink"), textBorderColor: style("paper"), textBorderWidth: 3, hideOverlap: true, formatter: value => said(column, value)},
  });
  const brief = ({name}) => name.replace(/^final_/, "").replaceAll("_", " ");
  const places = ({levels}) => levels && few([...levels.keys()], MOST_TICKS);
  const tooltip = content => ({
    confine: true, backgroundColor: style("paper"), borderColor: style("grid"), textStyle: {color: style("ink"), fontSize: 12},
    extraCssText: "max-width: 24rem; white-space: normal", formatter: content,
  });
  const cell = lane => factors.map(({label, levels, values}) => `${label} ${levels[values[lane]]}`).join(", ");
  const command = lane => `${data.command} --only ${factors.map(({given, values}) => given[values[lane]]).join(",")}`;
  const grouped = (column, lanes) => {
    const groups = new Map();
    for (const lane of lanes) {
      const level = column.values[lane];
      groups.has(level) ? groups.get(level).push(lane) : groups.set(level, [lane]);
    }
    return [...groups].sort(([a], [b]) => a - b).map(([level, of]) => ({name: column.levels[level], color: colorOf(column, level), lanes: of}));
  };
  const median = numbers => { // one network that diverged must not be all that is seen
    const there = numbers.filter(Number.isFinite).sort((a, b) => a - b);
    const middle = there.length >> 1;
    return there.length ? (there[middle] + there[(there.length - 1) >> 1]) / 2 : null;
  };

  /** Where a lane stands along a column: lanes of one level beside each other, always in the same order. */
  const place = (column, lane) => column.levels ? column.values[lane] + (lane * 0.618034 % 1 - 0.5) * 0.6 : column.values[lane];
  const drawScatter = groups => {
    const x = columns.get(choices.x.value), y = columns.get(choices.y.value), log = choices.log.checked;
    const points = lanes => lanes.map(lane => [place(x, lane), place(y, lane), lane]);
    const inside = new Set(kept), [[xLow, xHigh], [yLow, yHigh]] = [x, y].map(({name}) => filters.get(name) ?? []);
    const medians = ({name, color, lanes}) => ({
      type: "line", name, color, symbol: "none", silent: true, z: 4, lineStyle: {width: 2},
      data: x.levels.map((_, level) => [level, median(lanes.filter(lane => x.values[lane] === level).map(lane => y.values[lane]))])
        .filter(([, value]) => value !== null),
    });
    const size = Math.max(3, Math.min(8, 400 / Math.sqrt(all.length)));
    charts.scatter.setOption({
      animation: false, grid: {left: 64, right: 16, top: 16, bottom: 56},
      xAxis: {...axis(x, log), nameGap: 30}, yAxis: {...axis(y, log), nameGap: 46}, tooltip: tooltip(({data: [, , lane]}) => {
        const box = element("div", "");
        box.append(element("b", cell(lane)), element("div", `${x.label}: ${said(x, x.values[lane])}`),
          element("div", `${y.label}: ${said(y, y.values[lane])}`), element("code", command(lane)));
        return box;
      }),
      toolbox: {show: false}, brush: {toolbox: [], throttleType: "debounce", xAxisIndex: 0, brushStyle: {color: "rgba(128,128,128,.15)", borderColor: style("accent")}},
      series: [
        {type: "scatter", silent: true, symbolSize: size, itemStyle: {color: style("muted"), opacity: 0.2},
          data: points(all.filter(lane => !inside.has(lane))),
          markArea: {silent: true, itemStyle: {color: style("accent"), opacity: 0.08},
            data: filters.has(x.name) || filters.has(y.name) ? [[{xAxis: xLow, yAxis: yLow}, {xAxis: xHigh, yAxis: yHigh}]] : []}},
        ...groups.map(({name, color, lanes}) => ({type: "scatter", name, color, symbolSize: size, z: 3, itemStyle: {opacity: 0.7}, data: points(lanes)})),
        ...(x.levels && !y.levels && x.name !== choices.color.value ? groups.map(medians) : []),
      ],
    }, {notMerge: true});
    charts.scatter.dispatchAction({type: "takeGlobalCursor", key: "brush", brushOption: {brushType: "rect", brushMode: "single"}});
    const lines = x.levels && !y.levels && x.name !== choices.color.value ? " Lines join the medians of what is kept." : "";
    note("scatter", `${y.label} against ${x.label}: a point for each lane, those of one level side by side.${lines}`);
  };
  const drawCurves = groups => {
    const curve = curves.get(choices.curve.value), n = data.steps.length;
    const at = (lane, step) => curve.values[lane * n + step];
    const line = (name, color, width, values) => ({
      type: "line", name, color, symbol: width > 1 ? "circle" : "none", symbolSize: 5, lineStyle: {width, opacity: width > 1 ? 1 : 0.45},
      data: values.map((value, step) => [data.steps[step], value]),
    });
    charts.curves.setOption({
      animation: false, grid: {left: 64, right: 16, top: 16, bottom: 56},
      xAxis: {...axis({label: "Step"}), nameGap: 30}, yAxis: {...axis(curve, choices.log.checked), nameGap: 46},
      tooltip: tooltip(({seriesName, data: [step, value]}) => element("div", `${seriesName}, step ${step}: ${written(value)}`)),
      series: [
        ...(kept.length <= MOST_CURVES ? groups.flatMap(({color, lanes}) => lanes.map(lane =>
          line(cell(lane), color, 1, data.steps.map((_, step) => at(lane, step))))) : []),
        ...groups.map(({name, color, lanes}) => line(`${name}, median`, color, 2, data.steps.map((_, step) => median(lanes.map(lane => at(lane, step)))))),
      ],
    }, {notMerge: true});
    note("curves", `${curve.label} along training: medians of the lanes kept, by colour${kept.length <= MOST_CURVES ? ", and each lane" : `; at most ${MOST_CURVES} lanes are drawn one by one`}.`);
  };
  const sideBySide = () => [...new Set([...varied.map(({name}) => name), choices.x.value, "final_train_loss", "final_test_loss", "gap", choices.y.value])]
    .filter(name => columns.has(name)).map(name => columns.get(name));
  const drawParallel = groups => {
    const shown = sideBySide();
    charts.parallel.setOption({
      animation: false, parallel: {left: 48, right: 64, top: 36, bottom: 24, parallelAxisDefault: {realtime: false}},
      parallelAxis: shown.map((column, dim) => ({...axis(column), id: column.name, dim, name: brief(column), nameLocation: "end", nameTextStyle: {color: style("ink"), fontSize: 11}, z: 10,
        areaSelectStyle: {width: 14, borderWidth: 1, borderColor: style("accent"), color: style("accent"), opacity: 0.3}})),
      series: groups.map(({name, color, lanes}) => ({
        type: "parallel", name, color, lineStyle: {width: 1, opacity: Math.max(0.06, Math.min(0.6, 60 / kept.length))}, inactiveOpacity: 0.02, progressive: 0,
        data: few(lanes, MOST_LINES * lanes.length / kept.length).map(lane => shown.map(column => place(column, lane))),
      })),
    }, {notMerge: true});
    for (const {name} of shown.filter(column => filters.has(column.name))) {
      charts.parallel.dispatchAction({type: "axisAreaSelect", parallelAxisId: name, intervals: [filters.get(name)]}, {silent: true});
    }
    note("parallel", `A line for each lane through its levels and numbers${kept.length > MOST_LINES ? `, for ${MOST_LINES.toLocaleString("en")} of those kept` : ""}.`);
  };
  const note = (name, text) => {
    $(`${name}-note`).textContent = text;
    $(name).setAttribute("aria-label", text);
  };

  const showLane = lane => {
    const facts = [...factors, ...sideBySide().filter(({levels}) => !levels)];
    $("lane").querySelector("dl").replaceChildren(...facts.flatMap(column => [element("dt", column.label), element("dd", said(column, column.values[lane]))]));
    Object.assign($("lane").querySelector("pre"), {textContent: command(lane), hidden: false});
  };
  const listLanes = () => {
    const y = columns.get(choices.y.value), sign = y.better === "higher" ? -1 : 1;
    const known = kept.filter(lane => y.values[lane] !== null).sort((a, b) => sign * (y.values[a] - y.values[b]));
    $("first").textContent = `The ${y.better ? "best" : "first"} of the lanes kept, by ${y.label}`;
    $("lanes").replaceChildren(...known.slice(0, MOST_ROWS).map(lane => {
      const row = element("li", `${said(y, y.values[lane])} `);
      row.append(element("button", cell(lane), {type: "button", onclick: () => showLane(lane)}));
      return row;
    }));
  };
  const listFilters = () => $("kept").replaceChildren(...[...filters].map(([name, [low, high]]) => {
    const column = columns.get(name), [from, to] = column.levels ? [Math.ceil(low), Math.floor(high)] : [low, high];
    const row = element("li", ""), text = `${column.label}: ${from === to ? said(column, from) : `${said(column, from)} to ${said(column, to)}`}`;
    row.append(element("button", `${text} ✕`, {type: "button", ariaLabel: `No longer keep by ${text}`, onclick: () => { filters.delete(name); draw(); }}));
    return row;
  }));
  const draw = () => {
    const tests = [...filters].map(([name, [low, high]]) => [columns.get(name).values, low, high]);
    kept = all.filter(lane => tests.every(([values, low, high]) => values[lane] !== null && low <= values[lane] && values[lane] <= high));
    const color = columns.get(choices.color.value), groups = grouped(color, kept);
    const away = kept.filter(lane => data.diverged[lane]).length;
    $("count").textContent = `${many(kept.length, "lane")} of ${all.length.toLocaleString("en")}${away ? `, ${away} diverged` : ""}`;
    $("key").replaceChildren(element("span", `${color.label}:`), ...groups.map(({name, color: tone}) => {
      const entry = element("span", ""), glyph = element("span", "●", {className: "glyph"});
      glyph.style.color = tone;
      entry.append(glyph, ` ${name}`);
      return entry;
    }));
    listFilters();
    drawScatter(groups);
    drawCurves(groups);
    drawParallel(groups);
    listLanes();
  };
  const filterBy = (name, interval) => {
    if (!interval) return filters.delete(name);
    const [low, high] = interval.map(clean).sort((a, b) => a - b);
    filters.set(name, columns.get(name).levels ? [Math.ceil(low) - 0.5, Math.floor(high) + 0.5] : [low, high]);
  };

  charts.scatter.on("mouseover", ({data: point}) => { hovered = point?.[2] ?? null; });
  charts.scatter.on("mouseout", () => { hovered = null; });
  charts.scatter.on("click", ({data: point}) => showLane(point[2]));
  charts.scatter.on("brushEnd", ({areas: [area]}) => {
    if (!area && hovered !== null) return;
    [choices.x, choices.y].forEach(({value}, i) => filterBy(value, area?.coordRange[i]));
    draw();
  });
  charts.parallel.on("axisareaselected", ({parallelAxisId, intervals}) => {
    filterBy(parallelAxisId, intervals.at(-1));
    draw();
  });
  const field = (column, end) => {
    if (!column.levels) return element("input", "", {type: "number", step: "any", size: 8});
    const select = element("select", "");
    select.append(...column.levels.map((level, value) => element("option", level, {value})));
    select.selectedIndex = end ? column.levels.length - 1 : 0;
    return select;
  };
  const offer = () => {
    const column = columns.get(keep.column.value);
    ["low", "high"].forEach((end, i) => $(end).replaceChildren(field(column, i)));
  };
  keep.column.addEventListener("change", offer);
  offer();
  $("choices").addEventListener("change", draw);
  $("keep").addEventListener("submit", event => {
    event.preventDefault();
    const [low, high] = ["low", "high"].map(end => $(end).firstChild.value);
    filterBy(keep.column.value, [low === "" ? -Infinity : Number(low), high === "" ? Infinity : Number(high)]);
    draw();
  });
  for (const button of root.querySelectorAll("[data-save]")) {
    button.addEventListener("click", () => element("a", "", {
      href: charts[button.dataset.save].getDataURL({pixelRatio: 2, backgroundColor: style("paper")}),
      download: `${data.study}-${button.dataset.save}.png`,
    }).click());
  }
  new ResizeObserver(() => Object.values(charts).forEach(chart => chart.resize())).observe(root);
  matchMedia("(prefers-color-scheme: dark)").addEventListener("change", draw);
  draw();
};

root.addEventListener("toggle", async () => {
  if (!root.open || root.dataset.state) return;
  root.dataset.state = "opening";
  try {
    const [library, data] = await Promise.all(["library", "data"].map(name => unpacked(`explorer-${name}`)));
    document.head.append(element("script", library));
    explore(JSON.parse(data));
    root.dataset.state = "open";
  } catch (error) {
    $("count").textContent = `The explorer cannot be opened: ${error.message}. It needs a browser of 2023 or later.`;
    root.dataset.state = "failed";
  }
});
}
