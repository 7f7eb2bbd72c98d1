"use strict";

// What the controls do, and the state to begin with: that of the address, the user's own labels, or a preset.

function attachForms() {
  for (const [id, key, usual] of [
    ["map-form", "map", PLAIN_MAP],
    ["prediction-form", "prediction", PLAIN_PREDICTION],
  ]) {
    const form = element(id);
    form.addEventListener("submit", (event) => event.preventDefault());
    form.addEventListener("input", () => {
      page[key] = readForm(form, usual);
      showValues(form);
      showOptions(form, page.map);
      page.changed();
    });
  }
}

/** Show the settings of map and prediction in their forms, and take what the forms make of them. */
function showSettings() {
  for (const [id, key, usual] of [
    ["map-form", "map", PLAIN_MAP],
    ["prediction-form", "prediction", PLAIN_PREDICTION],
  ]) {
    fillForm(element(id), page[key]);
    page[key] = readForm(element(id), usual);
    showOptions(element(id), page.map);
  }
}

function attachButtons() {
  addButtons(
    element("presets"),
    [...(given.drawing ? [{ id: "own", label: "Your labels" }] : []), ...PRESETS],
    (preset) => {
      page.remember();
      page.show(preset.id === "own" ? readDrawing(given.drawing) : drawingOf(preset));
    },
  );
  addButtons(element("predictions"), PREDICTIONS, ({ values }) => {
    page.prediction = { ...page.prediction, ...values };
    showSettings();
    page.changed();
  });
  element("undo").addEventListener("click", page.undo);
  element("clear").addEventListener("click", () => {
    page.remember();
    page.show({ ...page.drawing, labels: new Uint8Array(page.drawing.labels.length) });
  });
  element("link").addEventListener("click", async () => {
    history.replaceState(null, "", fragmentOf(page));
    try {
      await navigator.clipboard.writeText(location.href);
      element("said").textContent = "The link is copied: it holds drawing, map and prediction.";
    } catch {
      element("said").textContent = "Copy the address of this page: it holds drawing, map and prediction.";
    }
  });
}

function attachFields() {
  element("count").addEventListener("change", () => {
    page.remember();
    const classes = Number(element("count").value);
    page.show({
      ...page.drawing,
      classes,
      labels: page.drawing.labels.map((label) => (label < classes ? label : 0)),
    });
  });
  for (const id of ["row-spacing", "column-spacing"]) {
    element(id).addEventListener("change", () => {
      page.drawing.spacing = ["row-spacing", "column-spacing"].map((name) => numberOf(element(name), 1));
      page.changed();
    });
  }
  element("size").addEventListener("input", () => {
    element("size-said").textContent = element("size").value;
  });
  element("stretch").addEventListener("change", redraw);
  element("kept").addEventListener("change", () => {
    page.kept = Number(element("kept").value);
    redraw();
  });
}

/** Try other predictions of the pixel: by pointer in the figure, or with the arrow keys. */
function attachSimplex() {
  const canvas = element("simplex");
  const tryWeights = (weights) => {
    page.trial = predictionAt(clampedWeights(weights), page.corners.corners, page.corners.p);
    redraw();
  };
  const at = (event) => {
    const { corners } = page.corners;
    const box = canvas.getBoundingClientRect();
    const dots = canvas.width / box.width;
    const place = simplexFrame(canvas, corners.length).toPlace(
      (event.clientX - box.left) * dots,
      (event.clientY - box.top) * dots,
    );
    tryWeights(weightsAt(corners.length === 2 ? [place[0], 0] : place, corners.length));
  };
  canvas.addEventListener("pointerdown", (event) => {
    canvas.setPointerCapture(event.pointerId);
    at(event);
  });
  canvas.addEventListener("pointermove", (event) => {
    if (canvas.hasPointerCapture(event.pointerId)) at(event);
  });
  canvas.addEventListener("keydown", (event) => {
    const step = { ArrowLeft: [-0.02, 0], ArrowRight: [0.02, 0], ArrowUp: [0, 0.02], ArrowDown: [0, -0.02] }[
      event.key
    ];
    if (!step) return;
    event.preventDefault();
    const { corners, p } = page.corners;
    const free = corners.reduce((sum, k) => sum + p[k], 0);
    const place = placeOf(corners.map((k) => p[k] / free)).map((part, i) => part + step[i]);
    tryWeights(weightsAt(place, corners.length));
  });
  element("own").addEventListener("click", page.changed);
}

/** Begin with the state of the address, else with the user's own labels, else with the first preset. */
function begin() {
  const found = stateOf(location.hash);
  if (found) Object.assign(page, { map: found.map, prediction: found.prediction });
  showSettings();
  page.show(found?.drawing ?? (given.drawing ? readDrawing(given.drawing) : drawingOf(PRESETS[0])));
  if (found) page.cursor = found.cursor;
}

/** What has a colour of the classes or of the screen. */
function showColours() {
  showChoices();
  makePanels();
  const kinds = [
    ["a wrong class is pushed up", WRONG_UP],
    ["the true class is not pushed up", TRUE_DOWN],
    ["both", TRUE_DOWN | WRONG_UP],
  ];
  element("faults").replaceChildren(
    ...[...kinds.map(([text, kind]) => [text, FAULT[kind]]), ["no gradient", styleColour("--grid")]].map(
      ([text, colour]) => {
        const line = document.createElement("li");
        line.append(swatch(colour), text);
        return line;
      },
    ),
  );
  redraw();
}

attachForms();
attachButtons();
attachFields();
attachSimplex();
attachEditor(element("grid"), page);
begin();
showColours();
addEventListener("hashchange", begin);
new ResizeObserver(redraw).observe(element("see"));
darkScreen.addEventListener("change", () => {
  showColours();
});
