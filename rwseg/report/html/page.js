"use strict";
(() => {
  // Sorting: a click on a heading, or Enter or Space on it, sorts by its column; once more turns the order.

  const leafHeadings = (table) => {
    // Columns in the order of the cells: headings over two rows stand at the ends, those of groups between.
    const [upper, lower] = table.tHead.rows;
    if (!lower) return [...upper.cells];
    const headings = [];
    let next = 0;
    for (const cell of upper.cells) {
      if (cell.rowSpan === 2) headings.push(cell);
      else for (let i = 0; i < cell.colSpan; i++) headings.push(lower.cells[next++]);
    }
    return headings;
  };

  const key = (row, column, numeric) => {
    const cell = row.cells[column];
    if (!numeric) return cell.textContent;
    return cell.dataset.value === "" ? NaN : Number(cell.dataset.value);
  };

  const compare = (a, b, turn) => {
    if (typeof a === "string") return turn * a.localeCompare(b, "en", { numeric: true });
    if (Number.isNaN(a) || Number.isNaN(b)) return Number.isNaN(a) - Number.isNaN(b); // nothing comes last
    return turn * (a - b);
  };

  const sortBy = (table, heading, direction) => {
    const headings = leafHeadings(table);
    const column = headings.indexOf(heading);
    const numeric = heading.classList.contains("number");
    const turn = direction === "ascending" ? 1 : -1;
    const body = table.tBodies[0];
    const rows = [...body.rows].map((row) => [key(row, column, numeric), row]);
    rows.sort((a, b) => compare(a[0], b[0], turn));
    body.append(...rows.map((pair) => pair[1]));
    for (const other of headings) other.setAttribute("aria-sort", other === heading ? direction : "none");
  };

  const opposite = { ascending: "descending", descending: "ascending" };
  for (const table of document.querySelectorAll("table.sortable")) {
    for (const heading of leafHeadings(table)) {
      heading.querySelector("button").addEventListener("click", () => {
        sortBy(table, heading, opposite[heading.getAttribute("aria-sort")] ?? heading.dataset.best);
      });
    }
  }

  // Cases: the address says which (#cases-METHOD-CLASS), so that numbers can lead here and the way back works.

  const data = document.getElementById("cases-data");
  if (data) {
    const { methods, reference, classes, cases, rows } = JSON.parse(data.textContent);
    const table = document.getElementById("cases-table");
    const [method, classOf] = ["cases-method", "cases-class"].map((id) => document.getElementById(id));
    const fill = (select, names, all) => {
      select.append(new Option(all, "all"), ...names.map((name, index) => new Option(name, index)));
    };
    fill(method, methods, "all");
    fill(classOf, classes, "all");

    const cell = (tag, text, value) => {
      const element = document.createElement(tag);
      element.textContent = text;
      if (value !== undefined) {
        element.className = "number";
        element.dataset.value = value ?? "";
      }
      return element;
    };
    const number = (value, digits, sign) => {
      if (value === null) return cell("td", "–", null);
      const text = (sign && value >= 0 ? "+" : "") + value.toFixed(digits).replace("-", "−");
      return cell("td", text, value);
    };
    const rowOf = ([m, k, c, dice, difference, hausdorff, hausdorff95, missed, spurious]) => {
      const row = document.createElement("tr");
      const [name, phase] = cases[c];
      const head = cell("th", name);
      head.scope = "row";
      row.append(
        head, cell("td", phase), cell("td", methods[m]), cell("td", classes[k]), number(dice, 3),
        number(difference, 3, true), number(hausdorff, 2), number(hausdorff95, 2), number(missed, 0), number(spurious, 0),
      );
      return row;
    };
    const show = (m, k) => {
      [method.value, classOf.value] = [m, k];
      const chosen = rows.filter((row) => (m === "all" || row[0] === +m) && (k === "all" || row[1] === +k));
      // What all rows share stands in the choice above: on a phone the numbers need the room.
      table.classList.toggle("one-method", m !== "all");
      table.classList.toggle("one-class", k !== "all");
      table.classList.toggle("no-phase", cases.every(([, phase]) => phase === ""));
      table.classList.toggle("reference", m === String(reference));
      table.tBodies[0].replaceChildren(...chosen.map(rowOf));
      sortBy(table, leafHeadings(table)[4], "ascending");
      document.getElementById("cases-count").textContent = `${chosen.length} ${chosen.length === 1 ? "row" : "rows"}`;
    };
    const follow = () => {
      const asked = /^#cases-(\d+|all)-(\d+|all)$/.exec(location.hash);
      if (!asked) return false;
      show(asked[1], asked[2]);
      document.getElementById("cases").scrollIntoView();
      return true;
    };
    const choose = () => {
      history.replaceState(null, "", `#cases-${method.value}-${classOf.value}`);
      show(method.value, classOf.value);
    };
    method.addEventListener("change", choose);
    classOf.addEventListener("change", choose);
    addEventListener("hashchange", follow);
    if (!follow()) show("0", String(classes.length - 1));
  }

  // Pictures: select one to see it large; arrow keys lead on, Escape closes.

  const viewer = document.getElementById("viewer");
  if (viewer) {
    const thumbnails = [...document.querySelectorAll(".thumbnail img")];
    const large = viewer.querySelector("img");
    let current = 0;
    const view = (index) => {
      current = (index + thumbnails.length) % thumbnails.length;
      large.src = thumbnails[current].src;
      large.alt = thumbnails[current].alt;
      large.className = thumbnails[current].closest(".panels") ? "whole" : "";
      const caption = thumbnails[current].closest("figure").querySelector("figcaption").textContent;
      document.getElementById("viewer-title").textContent = `${caption} (${current + 1}/${thumbnails.length})`;
    };
    thumbnails.forEach((picture, index) => {
      picture.parentElement.addEventListener("click", () => {
        view(index);
        viewer.showModal();
      });
    });
    viewer.addEventListener("click", (event) => {
      const step = event.target.dataset.step;
      if (step) view(current + Number(step));
      else if (event.target === viewer || "close" in event.target.dataset) viewer.close();
    });
    viewer.addEventListener("keydown", (event) => {
      if (event.key === "ArrowLeft") view(current - 1);
      if (event.key === "ArrowRight") view(current + 1);
    });
    viewer.addEventListener("close", () => thumbnails[current].parentElement.focus());
  }

  // Paper shows everything.
  addEventListener("beforeprint", () => {
    for (const details of document.querySelectorAll("details")) details.open = true;
  });
})();
