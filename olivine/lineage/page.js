"use strict";
// Only text nodes are made of what the data say: no name can become markup.
const { nodes, chosen } = JSON.parse(document.getElementById("data").textContent);
const byId = new Map(nodes.map((node) => [node.id, node]));
const consumers = new Map();
for (const node of nodes)
  for (const [port, id] of Object.entries(node.inputs)) {
    if (!consumers.has(id)) consumers.set(id, []);
    consumers.get(id).push([port, node.id]);
  }
for (const node of nodes) node.text = JSON.stringify([node.id, node.kind, node.stage, node.facts, node.recipe, node.drives, node.withdrawn]).toLowerCase();

const list = document.getElementById("list"), search = document.getElementById("search");
const stage = document.getElementById("stage"), details = document.getElementById("details");
const ROW = 54;
let found = nodes, current = null, compared = null;

for (const name of new Set(nodes.map((node) => node.stage))) stage.append(new Option(name, name));

function element(tag, text, attributes = {}) {
  const made = document.createElement(tag);
  if (text !== undefined && text !== null) made.textContent = String(text);
  for (const [name, value] of Object.entries(attributes)) made.setAttribute(name, value);
  return made;
}

function label(node) {
  const seed = node.facts.seed === undefined ? "" : ` · seed ${node.facts.seed}`;
  return `${node.kind} ${node.id.slice(0, 12)}${seed}`;
}

// Only the rows in sight exist: a list of ten thousand is as quick as one of ten.
function drawList() {
  const first = Math.max(0, Math.floor(list.scrollTop / ROW) - 5);
  const last = Math.min(found.length, Math.ceil((list.scrollTop + list.clientHeight) / ROW) + 5);
  const space = element("div", "", { style: `height:${found.length * ROW}px`, role: "presentation" });
  for (let index = first; index < last; index++) {
    const node = found[index];
    const row = element("div", label(node), {
      class: node.withdrawn.length ? "row marked" : "row", role: "option", id: `row-${index}`, style: `top:${index * ROW}px`,
      "aria-selected": String(node === current), "aria-posinset": String(index + 1), "aria-setsize": String(found.length),
    });
    row.append(element("small", `${node.stage} · ${node.finished.slice(0, 19) || "no run record"}`));
    row.addEventListener("click", () => choose(node.id));
    space.append(row);
  }
  list.replaceChildren(space);
  const index = found.indexOf(current);
  if (index >= first && index < last) list.setAttribute("aria-activedescendant", `row-${index}`);
  else list.removeAttribute("aria-activedescendant");
}

function filter() {
  const words = search.value.toLowerCase().split(/\s+/).filter(Boolean);
  found = nodes.filter((node) => (!stage.value || node.stage === stage.value) && words.every((word) => node.text.includes(word)));
  document.getElementById("shown").textContent = `${found.length} of ${nodes.length} shown`;
  list.scrollTop = 0;
  drawList();
}

function links(title, pairs, empty) {
  const box = element("div", "", { class: "steps" });
  for (const [port, id] of pairs) {
    const node = byId.get(id);
    const button = element("button", node ? `${label(node)}` : `${port} ${id.slice(0, 12)} (not on this page)`, { type: "button" });
    button.disabled = !node;
    button.addEventListener("click", () => choose(id));
    box.append(button);
  }
  return [element("h3", title), pairs.length ? box : element("p", empty)];
}

function table(groups, other) {
  const made = element("table"), body = element("tbody");
  for (const [title, values, others] of groups) {
    const names = [...new Set([...Object.keys(values), ...Object.keys(others)])];
    if (names.length) body.append(heading(title, other ? 3 : 2));
    for (const name of names) {
      const row = element("tr"), differs = other && String(values[name]) !== String(others[name]);
      row.append(element("th", name, { scope: "row" }), element("td", values[name] ?? "-"));
      if (other) row.append(element("td", others[name] ?? "-"));
      if (differs) row.className = "differs";
      body.append(row);
    }
  }
  made.append(body);
  return made;
}

function heading(title, span) {
  const row = element("tr");
  row.append(element("th", title, { colspan: String(span), scope: "colgroup" }));
  return row;
}

function choose(id) {
  current = byId.get(id);
  // In a frame the address is the page's around it, and would be opened in here.
  if (window === window.top) location.replace(`#${id}`);
  const other = compared && compared !== current ? compared : null;
  const compare = element("button", compared === current ? "This one is compared with: choose another" : "Compare others with this", { type: "button", id: "compare" });
  compare.addEventListener("click", () => { compared = current; choose(id); });
  const parts = [element("h2", label(current), { id: "title" }), element("p", current.id)];
  if (current.withdrawn.length)
    parts.push(element("p", `Withdrawn drives are behind it: ${current.withdrawn.join(", ")}`, { class: "notice", role: "alert" }));
  parts.push(compare);
  if (other) parts.push(element("p", `Left: this. Right: ${label(other)}. What differs is bold.`));
  parts.push(...links("Made from", Object.entries(current.inputs), "nothing in the store: it was read from outside."));
  parts.push(...links("Made from it", consumers.get(id) ?? [], "nothing on this page."));
  const group = (title, name) => [title, current[name], other ? other[name] : {}];
  parts.push(element("h3", "Facts"), table([group("Run", "facts"), group("Counts", "counts"), group("Numbers", "numbers"), group("Recipe", "recipe")], other));
  details.replaceChildren(...parts);
  const index = found.indexOf(current);
  if (index >= 0 && (index * ROW < list.scrollTop || (index + 1) * ROW > list.scrollTop + list.clientHeight))
    list.scrollTop = Math.max(0, index * ROW - list.clientHeight / 2);
  drawList();
}

list.addEventListener("scroll", drawList);
search.addEventListener("input", filter);
stage.addEventListener("change", filter);
list.addEventListener("keydown", (event) => {
  const steps = { ArrowDown: 1, ArrowUp: -1, PageDown: 10, PageUp: -10, Home: -Infinity, End: Infinity };
  if (!(event.key in steps) || !found.length) return;
  event.preventDefault();
  const index = Math.min(found.length - 1, Math.max(0, found.indexOf(current) + steps[event.key]));
  choose(found[index].id);
});
document.addEventListener("keydown", (event) => {
  if (event.key !== "/" || event.target === search) return;
  event.preventDefault();
  search.focus();
});
filter();
if (nodes.length) choose(byId.has(location.hash.slice(1)) ? location.hash.slice(1) : byId.has(chosen) ? chosen : nodes[nodes.length - 1].id);
