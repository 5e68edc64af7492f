"use strict";
// The heads of a table of class "sortable" become buttons that sort it: texts from A,
// numbers (data-value) from the best; what has no value stays last. Filters hide rows.
for (const table of document.querySelectorAll("table.sortable")) {
  const body = table.tBodies[0];
  const heads = [...table.tHead.rows[0].cells];
  const rows = [...body.rows];
  const sort = (column) => {
    const cells = new Map(rows.map((row) => [row, row.cells[column]]));
    const isNumber = rows.some((row) => "value" in cells.get(row).dataset);
    const valueOf = (row) => isNumber
      ? Number(cells.get(row).dataset.value ?? NaN)
      : cells.get(row).textContent.trim();
    const head = heads[column];
    const before = head.getAttribute("aria-sort");
    const isUp = before ? before === "descending" : !isNumber || head.dataset.best === "lowest";
    heads.forEach((one) => one.removeAttribute("aria-sort"));
    head.setAttribute("aria-sort", isUp ? "ascending" : "descending");
    const sign = isUp ? 1 : -1;
    body.append(...[...rows].sort((one, other) => {
      const [a, b] = [valueOf(one), valueOf(other)];
      if (!isNumber) return sign * a.localeCompare(b);
      return Number.isNaN(a) - Number.isNaN(b) || sign * (a - b) || 0;
    }));
  };
  heads.forEach((head, column) => {
    const button = document.createElement("button");
    button.type = "button";
    button.append(...head.childNodes);
    button.addEventListener("click", () => sort(column));
    head.append(button);
  });
  const filters = document.querySelector(`[data-filters="${table.id}"]`);
  const selects = [...filters.querySelectorAll("select")];
  const filter = () => {
    const fits = (row) => selects.every((one) => !one.value || row.dataset[one.dataset.filter] === one.value);
    rows.forEach((row) => { row.hidden = !fits(row); });
    const shown = rows.filter((row) => !row.hidden).length;
    filters.querySelector("[role=status]").textContent = `${shown} of ${rows.length} rows`;
  };
  selects.forEach((one) => one.addEventListener("change", filter));
  filters.hidden = false;
  filter();
}
