"use strict";

// The page: state, controls and pictures together. Everything is computed anew after each change.

const element = (id) => document.getElementById(id);
const given = JSON.parse(element("given").textContent);
const page = {
  drawing: null,
  cursor: 0,
  map: { ...PLAIN_MAP },
  prediction: { ...PLAIN_PREDICTION },
  chosenLabel: 1,
  chosenTool: "brush",
  history: [],
  trial: null,
  kept: null,
  tool: () => page.chosenTool,
  label: () => Math.min(page.chosenLabel, page.drawing.classes - 1),
  size: () => Number(element("size").value),
};
let panels = null,
  scheduled = false,
  saving = 0;

function namesNow() {
  const own = given.names ?? [];
  return Array.from(
    { length: page.drawing.classes },
    (_, k) => own[k] ?? (k === 0 ? "background" : `class ${k}`),
  );
}

page.remember = () => {
  page.history.push({ ...page.drawing, labels: page.drawing.labels.slice() });
  if (page.history.length > MOST_UNDO) page.history.shift();
};

page.undo = () => {
  const before = page.history.pop();
  if (before) page.show(before);
  return true;
};

page.chooseClass = (k) => {
  if (k >= page.drawing.classes) return true;
  page.chosenLabel = k;
  if (page.chosenTool === "eraser") page.chosenTool = "brush";
  showChoices();
  page.announce();
  return true;
};

/** Say to a screen reader where the cursor is. */
page.announce = () => {
  const { drawing, cursor } = page;
  const names = namesNow();
  const painted = names[page.tool() === "eraser" ? 0 : page.label()];
  const tool = page.tool() === "pick" ? "Picking." : `Brush: ${painted}.`;
  element("said").textContent =
    `Row ${Math.floor(cursor / drawing.width) + 1}, column ${(cursor % drawing.width) + 1}: ` +
    `${names[drawing.labels[cursor]]}. ${tool}`;
};

/** Take another drawing: controls and panels follow its classes and size. */
page.show = (drawing) => {
  const sameSize =
    page.drawing && page.drawing.width === drawing.width && page.drawing.height === drawing.height;
  page.drawing = drawing;
  if (!sameSize || page.cursor >= drawing.labels.length) page.cursor = usualCursor(drawing);
  element("count").value = String(drawing.classes);
  element("row-spacing").value = drawing.spacing[0];
  element("column-spacing").value = drawing.spacing[1];
  showWeights();
  showChoices();
  makePanels();
  page.changed();
  page.announce();
};

/** A pixel worth looking at first: between the middle and the foreground. */
function usualCursor({ height, width }) {
  return Math.floor(height * 0.62) * width + Math.floor(width * 0.3);
}

page.changed = () => {
  page.trial = null;
  redraw();
};

function redraw() {
  if (scheduled) return;
  scheduled = true;
  requestAnimationFrame(() => {
    scheduled = false;
    if (element("simplex").clientWidth === 0) return; // not laid out yet: the observer calls again
    render();
    clearTimeout(saving);
    saving = setTimeout(() => history.replaceState(null, "", fragmentOf(page)), 250);
  });
}

function showChoices() {
  const names = namesNow();
  const colours = classColours();
  addChoices(
    element("classes"),
    "class",
    names.map((name, k) => [k, name, colours[k], String(k)]),
    page.label(),
    page.chooseClass,
  );
  const tools = [
    ["brush", "Brush"],
    ["eraser", "Eraser"],
    ["pick", "Pick a pixel"],
  ];
  addChoices(element("tools"), "tool", tools, page.chosenTool, (tool) => {
    page.chosenTool = tool;
    page.announce();
  });
}

/** One weight per class that there is. */
function showWeights() {
  for (const field of document.querySelectorAll("[data-class]"))
    field.hidden = Number(field.dataset.class) >= page.drawing.classes;
}

function makePanels() {
  const names = namesNow();
  const fresh = (id, captions) => {
    element(id).replaceChildren();
    element(id).style.setProperty("--columns", id === "pair" ? 2 : Math.max(3, captions.length));
    element(id).style.setProperty("--phone", captions.length === 3 ? 3 : 2);
    return captions.map((caption, k) =>
      addPanel(element(id), caption, id === "pair" ? null : classColours()[k], (event) => {
        page.cursor = pixelAt(event.currentTarget, page.drawing, event);
        page.changed();
        page.announce();
      }),
    );
  };
  panels = {
    maps: fresh("maps", names),
    gradients: fresh("gradients", names),
    pair: fresh("pair", ["prediction", "wrong signs"]),
  };
}
