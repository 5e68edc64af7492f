"use strict";
// A table of class "sortable": its heads become buttons that sort, numbers by
// data-value and the best end first; what has no value stays last. Its filters hide rows.
for (const table of document.querySelectorAll("table.sortable")) {
  const body = table.tBodies[0];
  const heads = [...table.tHead.rows[0].cells];
  const rows = [...body.rows];
  const valueOf = (row, column) => {
    const cell = row.cells[column];
    const isNumber = rows.some((one) => one.cells[column].dataset.value !== undefined);
    if (!isNumber) return cell.textContent.trim() || null;
    return cell.dataset.value === undefined ? null : Number(cell.dataset.value);
  };
  const compare = (a, b) => (typeof a === "number" ? a - b : a.localeCompare(b));
  const sort = (column) => {
    const head = heads[column];
    const up = head.getAttribute("aria-sort") === "descending" || !head.hasAttribute("aria-sort") && typeof valueOf(rows[0], column) !== "number";
    heads.forEach((one) => one.removeAttribute("aria-sort"));
    head.setAttribute("aria-sort", up ? "ascending" : "descending");
    const values = new Map(rows.map((row) => [row, valueOf(row, column)]));
    const order = [...rows].sort((one, other) => {
      const [a, b] = [values.get(one), values.get(other)];
      if (a === null || b === null) return (a === null) - (b === null);
      return up ? compare(a, b) : compare(b, a);
    });
    body.append(...order);
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
