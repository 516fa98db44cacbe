// How many visible texts a page has, and those whose contrast is less than WCAG's AA asks of text of any size.
(() => {
const canvas = new OffscreenCanvas(1, 1).getContext("2d", {willReadFrequently: true});
const rgba = color => {
  canvas.clearRect(0, 0, 1, 1);
  canvas.fillStyle = color;
  canvas.fillRect(0, 0, 1, 1);
  return [...canvas.getImageData(0, 0, 1, 1).data].map(part => part / 255);
};
const over = ([r, g, b, a], under) => [r, g, b].map((part, i) => a * part + (1 - a) * under[i]);
const luminance = rgb => {
  const [r, g, b] = rgb.map(part => part <= 0.04045 ? part / 12.92 : ((part + 0.055) / 1.055) ** 2.4);
  return 0.2126 * r + 0.7152 * g + 0.0722 * b;
};
const ratio = (a, b) => (Math.max(a, b) + 0.05) / (Math.min(a, b) + 0.05);
const behind = element => {
  if (!element) return over(rgba(getComputedStyle(document.documentElement).backgroundColor), [1, 1, 1]);
  const color = rgba(getComputedStyle(element).backgroundColor);
  return color[3] === 1 ? color.slice(0, 3) : over(color, behind(element.parentElement));
};
const nodes = document.createTreeWalker(document.body, NodeFilter.SHOW_TEXT), found = {};
let seen = 0;
while (nodes.nextNode()) {
  const element = nodes.currentNode.parentElement, text = nodes.currentNode.textContent.trim();
  if (!text || element.closest(".glyph")) continue; // a sign beside its name is no text
  if (!element.checkVisibility({opacityProperty: true, visibilityProperty: true})) continue;
  const range = document.createRange();
  range.selectNode(nodes.currentNode);
  const box = range.getBoundingClientRect();
  if (box.width < 2 || box.height < 2) continue;
  let opacity = 1;
  for (let at = element; at; at = at.parentElement) opacity *= getComputedStyle(at).opacity;
  const style = getComputedStyle(element), [r, g, b, a] = rgba(element.closest("svg") ? style.fill : style.color);
  const ground = behind(element), contrast = ratio(luminance(over([r, g, b, a * opacity], ground)), luminance(ground));
  seen++;
  const name = `${element.tagName.toLowerCase()}.${element.getAttribute("class") ?? ""}`;
  if (contrast < 4.5) found[`${name} ${contrast.toFixed(2)}`] ??= text.slice(0, 40);
}
return {seen, found};
})()
