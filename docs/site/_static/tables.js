// Tables that one can filter and sort. Without JavaScript they stay plain tables.
const compare = new Intl.Collator("en", { numeric: true }).compare;
const words = (cell) => cell.textContent.trim();

function make(name, settings = {}, ...children) {
  const element = Object.assign(document.createElement(name), settings);
  element.append(...children);
  return element;
}

// Numbers by size, anything else by its words, empty cells last.
function order(one, other) {
  if (!one || !other) return !one - !other;
  const [a, b] = [parseFloat(one), parseFloat(other)];
  return (Number.isNaN(a) || Number.isNaN(b) ? 0 : a - b) || compare(one, other);
}

function enhance(box) {
  const table = box.querySelector("table");
  const body = table.tBodies[0], rows = [...body.rows], heads = [...table.tHead.rows[0].cells];
  const titles = heads.map(words);
  const said = make("p", { className: "said" });
  said.setAttribute("role", "status");
  const search = make("input", { type: "search" });
  const menus = box.dataset.menus.split(", ").filter(Boolean).map((title) => {
    const column = titles.indexOf(title);
    const values = [...new Set(rows.map((row) => words(row.cells[column])))].filter(Boolean);
    const select = make("select", {}, make("option", { value: "" }, "all"));
    select.append(...values.sort(compare).map((value) => make("option", { value }, value)));
    return { title, column, select };
  });

  function filter() {
    const wanted = search.value.toLowerCase().split(/\s+/);
    for (const row of rows) {
      const text = row.textContent.toLowerCase();
      row.hidden = !wanted.every((word) => text.includes(word)) || !menus.every(
        ({ column, select }) => !select.value || words(row.cells[column]) === select.value);
    }
    said.textContent = `${rows.filter((row) => !row.hidden).length} of ${rows.length} rows`;
  }

  function sort(column) {
    const down = heads[column].getAttribute("aria-sort") === "ascending";
    for (const head of heads) head.removeAttribute("aria-sort");
    heads[column].setAttribute("aria-sort", down ? "descending" : "ascending");
    const sign = down ? -1 : 1;
    body.append(...rows.toSorted((a, b) => {
      const [one, other] = [a, b].map((row) => words(row.cells[column]));
      return one && other ? sign * order(one, other) : order(one, other);
    }));
  }

  const form = make("form", { className: "filters" }, make("label", {}, "Search ", search));
  form.append(...menus.map(({ title, select }) => make("label", {}, `${title} `, select)));
  form.append(make("button", { type: "reset" }, "Show all"));
  form.addEventListener("input", filter);
  form.addEventListener("reset", () => setTimeout(filter));
  form.addEventListener("submit", (event) => event.preventDefault());
  heads.forEach((head, column) => {
    if (!titles[column]) return;
    const button = make("button", { type: "button" }, ...head.childNodes);
    button.addEventListener("click", () => sort(column));
    head.append(button);
  });
  // On a narrow page a row becomes a card, whose lines need their titles; roles keep it a table.
  for (const row of rows) [...row.cells].forEach((cell, n) => { cell.dataset.title = titles[n]; });
  const roles = { table: "table", "thead, tbody": "rowgroup", tr: "row", th: "columnheader", td: "cell" };
  for (const [tags, role] of Object.entries(roles))
    for (const element of [table, ...table.querySelectorAll(tags)])
      if (element.matches(tags)) element.setAttribute("role", role);
  box.prepend(form, said);
  filter();
}

document.querySelectorAll(".filterable").forEach(enhance);
