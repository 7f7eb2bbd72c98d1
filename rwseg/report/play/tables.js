"use strict";

// What the page says in numbers and words.

function cellOf(kind, text, className = "") {
  const cell = Object.assign(document.createElement(kind), { textContent: text, className });
  if (kind === "th") cell.scope = "row";
  return cell;
}

/** A row's name with the colour of its class. */
function classCell(name, k) {
  const cell = cellOf("th", "");
  if (k !== undefined) cell.append(swatch(classColours()[k]));
  cell.append(name);
  return cell;
}

/** Shares per class of pixels: rows of sharesOf. */
function fillShares(table, rows, names) {
  table.tBodies[0].replaceChildren(
    ...rows.map((row, k) => {
      const line = document.createElement("tr");
      const share = (count) => cellOf("td", percent(count / row.pixels), "number");
      line.append(
        k < names.length ? classCell(names[k], k) : classCell("all"),
        cellOf("td", String(row.pixels), "number"),
      );
      line.append(
        share(row.wrong),
        share(row.trueDown),
        share(row.wrongUp),
        cellOf("td", percent(row.pull), "number"),
      );
      return line;
    }),
  );
}

/** Values of one pixel, a row per class. */
function fillValues(table, { p, z, gradient, label, names }) {
  const largest = largestOf(gradient);
  table.tBodies[0].replaceChildren(
    ...names.map((name, k) => {
      const line = document.createElement("tr");
      const up = gradient[k] < -TOLERANCE * largest;
      const down = gradient[k] > TOLERANCE * largest;
      const wrong = largest > 0 && (k === label ? !up : up);
      const way = `${up ? "↑ up" : down ? "↓ down" : "nowhere"}${wrong ? ", wrong" : ""}`;
      line.append(classCell(k === label ? `${name}, true` : name, k));
      for (const value of [p[k], z[k], gradient[k]]) line.append(cellOf("td", said(value), "number"));
      line.append(cellOf("td", way, wrong ? "wrong" : ""));
      return line;
    }),
  );
}

/** The first sentence: how many pixels are wrong, and who has the gradient. */
function headlineOf(rows, names) {
  const all = rows[rows.length - 1];
  const wrong =
    all.wrong === 0
      ? "No pixel has a wrong sign."
      : `${percent(all.wrong / all.pixels)} of the pixels have a wrong sign.`;
  if (!Number.isFinite(all.pull)) return `${wrong} There is no gradient.`;
  const shares = names.map((name, k) => `${name} ${percent(rows[k].pull)}`);
  return `${wrong} Share of the gradient: ${shares.join(", ")}.`;
}

/** What is wrong with a pixel, in words. */
function faultText(fault, label, name) {
  if (fault & NO_GRADIENT) return "has no gradient to speak of";
  const parts = [];
  if (fault & TRUE_DOWN) parts.push(`${name} is not pushed up`);
  if (fault & WRONG_UP) parts.push("a wrong class is pushed up");
  return parts.length ? `has a wrong sign: ${parts.join(", and ")}` : "has the right signs";
}

/** The words below the triangle. */
function simplexText(shares, corners, names, kept, p) {
  const place = corners.length === 2 ? "interval" : "triangle";
  const held = kept === null ? "" : ` Predictions with ${names[kept]} held at p = ${said(p[kept])}.`;
  if (shares.any === 0) return `No prediction in this ${place} has a wrong sign.${held}`;
  const kinds = [];
  if (shares.wrongUp > 0) kinds.push(`${percent(shares.wrongUp)} push a wrong class up (orange)`);
  if (shares.trueDown > 0) kinds.push(`${percent(shares.trueDown)} do not push the true class up (blue)`);
  const wrong = `${percent(shares.any)} of the predictions in this ${place} have a wrong sign`;
  return `${wrong}: ${kinds.join(", ")}.${held}`;
}
