"use strict";
addEventListener("beforeprint", () => {
  for (const details of document.querySelectorAll("details:not(#explorer)")) details.open = true;
});

/** What the page holds packed: gzip in base64. */
const unpacked = id => {
  const bytes = Uint8Array.from(atob(document.getElementById(id).textContent), character => character.charCodeAt(0));
  return new Response(new Blob([bytes]).stream().pipeThrough(new DecompressionStream("gzip"))).text();
};
const value = text => {
  const number = text.replace("\u2212", "-");
  return text === "\u2013" ? null : isNaN(number) ? text : Number(number);
};
const compare = (a, b) => a === null ? 1 : b === null ? -1 : typeof a === "number" && typeof b === "number" ? a - b : String(a).localeCompare(String(b));

/** A table and all its rows, in order: those in the page, or, where they are many, those packed in it, of which some are shown. */
const tabled = table => {
  const body = table.tBodies[0], more = document.getElementById(`${table.id}-more`), most = Number(table.dataset.most);
  const heads = [...table.tHead.rows[0].cells];
  let shown = most, kept = [], test = () => true;
  const self = {heads, rows: null, places: null};  // rows as they are sorted, and in their places of before
  const inPage = element => ({
    element, texts: [...element.cells].map(cell => cell.textContent), values: [...element.cells].map(cell => value(cell.dataset.v ?? cell.textContent)),
  });
  const inPack = ([cell, ...pairs], place) => ({
    made: body.rows[place], texts: pairs.map(([text]) => text), values: pairs.map(([text, sorted]) => sorted ?? value(text)),
    get element() {
      if (this.made) return this.made;
      this.made = document.createElement("tr");
      Object.assign(this.made, cell === null ? {id: `cell-${place}`} : {tabIndex: -1});
      if (cell !== null) this.made.dataset.cell = cell;
      this.made.append(...this.texts.map((text, column) => Object.assign(document.createElement("td"),
        {textContent: text, className: column < table.dataset.texts ? "t" : ""})));
      return this.made;
    },
  });
  const show = () => {
    const elements = kept.slice(0, shown).map(row => row.element);
    if (elements[0]?.hasAttribute("tabindex")) elements.forEach((element, i) => { element.tabIndex = i ? -1 : 0; });
    body.replaceChildren(...elements);
    if (more) {
      more.firstChild.textContent = `${elements.length.toLocaleString("en")} of ${kept.length.toLocaleString("en")} are shown. `;
      more.querySelector("button").hidden = elements.length === kept.length;
    }
  };
  /** Do it when the rows are there, which is at once where they are in the page. */
  self.ready = act => {
    if (self.rows) return act();
    if (!more) {
      self.rows = self.places = kept = [...body.rows].map(inPage);
      return act();
    }
    return unpacked(`${table.id}-rows`).then(text => {
      if (!self.rows) self.rows = self.places = kept = JSON.parse(text).map(inPack);
      return act();
    });
  };
  /** Show those alone for which the test holds; the number of them. */
  self.keep = those => {
    test = those;
    kept = self.rows.filter(test);
    shown = most;
    show();
    return kept.length;
  };
  heads.forEach((head, column) => head.firstElementChild.addEventListener("click", () => self.ready(() => {
    const down = head.getAttribute("aria-sort") === "ascending";
    heads.forEach(other => other.removeAttribute("aria-sort"));
    head.setAttribute("aria-sort", down ? "descending" : "ascending");
    self.rows = [...self.rows].sort(({values: {[column]: a}}, {values: {[column]: b}}) => a === null || b === null || !down ? compare(a, b) : compare(b, a));
    kept = self.rows.filter(test);
    show();
  })));
  more?.querySelector("button").addEventListener("click", () => self.ready(() => {
    shown += most;
    show();
  }));
  return self;
};
const tables = Object.fromEntries([...document.querySelectorAll("table.sortable")].map(table => [table.id, tabled(table)]));

const filter = document.getElementById("filter");
filter?.addEventListener("input", () => tables["lane-table"].ready(() => {
  const words = filter.value.toLowerCase().split(/\s+/).filter(Boolean);
  hideCell();
  const n = tables["lane-table"].keep(({texts}) => words.every(word => texts.some(text => text === word || text.startsWith(word))));
  document.getElementById("shown").textContent = `${n.toLocaleString("en")} lane${n === 1 ? "" : "s"}`;
}));
const lanes = document.getElementById("lane-table"), note = document.getElementById("cell-note");
const laneOf = event => event.target.closest?.("tr[data-cell]");
let current = null;
const hideCell = () => {
  note.hidden = true;
  current?.removeAttribute("aria-describedby");
  for (const row of lanes.querySelectorAll("tr.same")) row.classList.remove("same");
  current = null;
};
const showCell = lane => {
  if (lane === current) return;
  hideCell();
  current = lane;
  tables["cell-table"].ready(() => { if (lane === current) describe(lane); });
};
const describe = lane => {
  const {texts} = tables["cell-table"].places[lane.dataset.cell];
  note.replaceChildren(...texts.flatMap((text, i) => {
    const name = document.createElement("dt"), said = document.createElement("dd");
    name.textContent = tables["cell-table"].heads[i].textContent.trim();
    said.textContent = text;
    return [name, said];
  }));
  for (const other of lanes.querySelectorAll(`tr[data-cell="${lane.dataset.cell}"]`)) other.classList.add("same");
  lane.setAttribute("aria-describedby", "cell-note");
  note.hidden = false;
  const at = lane.getBoundingClientRect(), height = note.offsetHeight;
  const below = at.bottom + 6 + height < innerHeight;
  note.style.top = `${below ? at.bottom + 6 : Math.max(at.top - height - 6, 0)}px`;
  note.style.left = `${Math.max(Math.min(at.left + 24, innerWidth - note.offsetWidth - 12), 0)}px`;
};
lanes?.addEventListener("mouseover", event => { const lane = laneOf(event); if (lane) showCell(lane); });
lanes?.addEventListener("mouseleave", hideCell);
lanes?.addEventListener("focusin", event => { const lane = laneOf(event); if (lane) showCell(lane); });
lanes?.addEventListener("focusout", hideCell);
lanes?.addEventListener("keydown", event => {
  const lane = laneOf(event), step = {ArrowDown: "nextElementSibling", ArrowUp: "previousElementSibling"}[event.key];
  if (event.key === "Escape") hideCell();
  if (!lane || !step) return;
  event.preventDefault();
  const next = lane[step];
  if (!next) return;
  lane.tabIndex = -1;
  next.tabIndex = 0;
  next.focus();
});
