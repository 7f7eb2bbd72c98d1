"use strict";

// From the state of the page to all its pictures and numbers.

/** Everything that follows from drawing, map and prediction. */
function computed({ drawing, map: settings, prediction }) {
  const { classes } = drawing;
  const squared = isSquared(settings);
  const map = composeMap(drawing, partsOf(settings, classes));
  const softmax = softmaxOf(logitsOf(drawing, prediction), classes);
  const gradient = gradientOf(softmax, map, classes, squared);
  const faults = faultsOf(gradient, drawing);
  return { squared, map, softmax, gradient, faults, shares: sharesOf(gradient, faults, drawing) };
}

function render() {
  const { drawing } = page;
  const names = namesNow();
  const result = computed(page);
  const colours = classColours().map(rgbOf);
  const editor = paintCells(element("grid"), drawing, (pixel) => colours[drawing.labels[pixel]]);
  frameCell(editor, drawing, page.cursor);
  paintPerClass(panels.maps, result.map, "map-scale", (k) => `Map of ${names[k]}`, null);
  paintPerClass(
    panels.gradients,
    result.gradient,
    "gradient-scale",
    (k) => `Gradient of ${names[k]}`,
    result,
  );
  paintPair(panels.pair, result, colours, names);
  element("headline").textContent = headlineOf(result.shares, names);
  fillShares(element("shares"), result.shares, names);
  const loss = lossOf(result.softmax, result.map, result.squared);
  const least = leastLoss(result.map, drawing);
  element("loss-said").textContent =
    `Loss ${said(loss)}; ${said(loss - least)} above that of the perfect prediction. ` +
    (isRectified(result.map, drawing)
      ? "The map is rectified: the wrong classes of each pixel weigh the same."
      : "The map is not rectified.");
  element("map-text").textContent = overridesOf(page.map, drawing);
  renderPixel(result, names);
  for (const { id, values } of PREDICTIONS) {
    const isOn = Object.keys(values).every((key) => values[key] === page.prediction[key]);
    document.querySelector(`#predictions [data-id="${id}"]`).setAttribute("aria-pressed", String(isOn));
  }
}

/** A panel per class in one scale; with `result` wrong signs are hatched. */
function paintPerClass(canvases, values, scaleId, nameOf, result) {
  const { drawing, cursor } = page;
  const size = drawing.labels.length;
  const largest = largestOf(values);
  const stretch =
    element("stretch").value === "root" ? (x) => Math.sign(x) * Math.sqrt(Math.abs(x)) : (x) => x;
  canvases.forEach((canvas, k) => {
    const own = values.subarray(k * size, (k + 1) * size);
    const context = paintCells(canvas, drawing, (pixel) =>
      signColour(largest > 0 ? stretch(own[pixel] / largest) : 0),
    );
    let wrong = 0;
    if (result) {
      hatchCells(context, drawing, (pixel) => {
        const found = isWrongClass(
          values,
          drawing.classes,
          pixel,
          k,
          drawing.labels[pixel],
          result.faults[pixel],
        );
        wrong += found ? 1 : 0;
        return found;
      });
    }
    frameCell(context, drawing, cursor);
    const [low, high] = own.reduce(
      ([a, b], value) => [Math.min(a, value), Math.max(b, value)],
      [Infinity, -Infinity],
    );
    const range = `${nameOf(k)}: from ${said(low)} to ${said(high)}`;
    canvas.setAttribute("aria-label", result ? `${range}, wrong sign at ${wrong} pixels of ${size}` : range);
  });
  showScale(element(scaleId), largest, result ? ["pushed up", "pushed down"] : ["rewarded", "punished"]);
}

/** The colours from the least to the largest value, and what they mean. */
function showScale(parent, largest, [below, above]) {
  const [left, bar, right] = parent.children;
  bar.style.background = signGradient();
  left.textContent = `${below} ${said(-largest)}`;
  right.textContent = `${said(largest)} ${above}`;
}

/** The predicted class, paler where it is less sure; and the pixels with a wrong sign by kind. */
function paintPair([predicted, wrong], { softmax, faults }, colours, names) {
  const { drawing, cursor } = page;
  const paper = rgbOf(styleColour("--paper"));
  const blend = (colour, share) => colour.map((part, i) => Math.round(paper[i] + share * (part - paper[i])));
  const first = paintCells(predicted, drawing, (pixel) => {
    const p = atPixel(softmax, drawing.classes, pixel);
    const top = Math.max(...p);
    return blend(
      colours[p.indexOf(top)],
      0.15 + 0.85 * Math.max(0, (top - 1 / p.length) / (1 - 1 / p.length)),
    );
  });
  const calm = rgbOf(styleColour("--raised"));
  const still = rgbOf(styleColour("--grid"));
  const second = paintCells(wrong, drawing, (pixel) => {
    if (faults[pixel] & NO_GRADIENT) return still;
    return faults[pixel] ? rgbOf(FAULT[faults[pixel]]) : calm;
  });
  [first, second].forEach((context) => frameCell(context, drawing, cursor));
  predicted.setAttribute("aria-label", `Predicted class per pixel, of ${names.join(", ")}`);
  const count = faults.filter((fault) => fault & (TRUE_DOWN | WRONG_UP)).length;
  wrong.setAttribute("aria-label", `${count} of ${faults.length} pixels have a wrong sign`);
}

/** The chosen pixel: its values, and the picture of all its predictions. */
function renderPixel(result, names) {
  const { drawing, cursor, trial } = page;
  const { classes, width } = drawing;
  const { squared } = result;
  const label = drawing.labels[cursor];
  const z = atPixel(result.map, classes, cursor);
  const p = trial ?? atPixel(result.softmax, classes, cursor);
  const gradient = pixelGradient(p, z, squared);
  const kept =
    classes < 4 ? null : page.kept !== null && page.kept !== label ? page.kept : leastLikely(p, label);
  const corners = cornersOf(classes, label, kept);
  page.corners = { corners, p };
  showKept(kept, label, names);
  drawSimplex(element("simplex"), { p, z, label, corners, squared, names });
  element("simplex-said").textContent = simplexText(
    simplexShares(z, label, corners, p, squared),
    corners,
    names,
    kept,
    p,
  );
  const place = `Row ${Math.floor(cursor / width) + 1}, column ${(cursor % width) + 1}`;
  const fault = trial ? pixelFault(gradient, label, 0) : result.faults[cursor];
  element("pixel-said").textContent =
    `${place} (${names[label]}) ${faultText(fault, label, names[label])}` +
    (trial ? " (with the prediction tried in the figure)." : ".");
  element("own").hidden = trial === null;
  fillValues(element("values"), { p, z, gradient, label, names });
}

function showKept(kept, label, names) {
  element("kept-field").hidden = kept === null;
  if (kept === null) return;
  const options = names.map((name, k) => [name, k]).filter(([, k]) => k !== label);
  element("kept").replaceChildren(
    ...options.map(([name, k]) => new Option(name, String(k), false, k === kept)),
  );
}
