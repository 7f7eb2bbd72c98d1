"use strict";

// Drawing labels: with mouse, pen or finger, and with the keyboard.

const MOST_UNDO = 50;

/** Change the labels of a disc of `size` pixels across around a pixel. */
function dab(drawing, pixel, size, label) {
  const { height, width, labels } = drawing;
  const reach = Math.floor(size / 2);
  const row = Math.floor(pixel / width);
  const column = pixel % width;
  for (let y = Math.max(0, row - reach); y <= Math.min(height - 1, row + reach); y++) {
    for (let x = Math.max(0, column - reach); x <= Math.min(width - 1, column + reach); x++) {
      if ((y - row) ** 2 + (x - column) ** 2 <= (size / 2) ** 2) labels[y * width + x] = label;
    }
  }
}

/** Dabs from one pixel to another, without gaps. */
function stroke(drawing, from, to, size, label) {
  const { width } = drawing;
  const rows = Math.floor(to / width) - Math.floor(from / width);
  const columns = (to % width) - (from % width);
  const steps = Math.max(1, Math.abs(rows), Math.abs(columns));
  for (let step = 0; step <= steps; step++) {
    const row = Math.floor(from / width) + Math.round((rows * step) / steps);
    dab(drawing, row * width + (from % width) + Math.round((columns * step) / steps), size, label);
  }
}

/** The pixel one step away in the direction of an arrow key; the same where the grid ends. */
function neighbour(drawing, pixel, key) {
  const [down, right] = { ArrowUp: [-1, 0], ArrowDown: [1, 0], ArrowLeft: [0, -1], ArrowRight: [0, 1] }[key];
  return shiftedPixel(pixel, drawing.height, drawing.width, down, right);
}

/**
 * Let a canvas draw on `page.drawing`. `page` has drawing, cursor, tool(), label(), size(),
 * chooseClass(k), remember(), undo() and changed(); the tool is "brush", "eraser" or "pick".
 */
function attachEditor(canvas, page) {
  let last = null;
  const labelNow = () => (page.tool() === "eraser" ? 0 : page.label());
  const move = (event) => {
    const pixel = pixelAt(canvas, page.drawing, event);
    if (page.tool() !== "pick") stroke(page.drawing, last, pixel, page.size(), labelNow());
    last = page.cursor = pixel;
    page.changed();
  };
  canvas.addEventListener("pointerdown", (event) => {
    if (event.button !== 0 || !event.isPrimary) return; // a second finger zooms
    canvas.setPointerCapture(event.pointerId);
    if (page.tool() !== "pick") page.remember();
    last = pixelAt(canvas, page.drawing, event);
    move(event);
  });
  canvas.addEventListener("pointermove", (event) => {
    if (last !== null && event.isPrimary) (event.getCoalescedEvents?.() ?? [event]).concat(event).forEach(move);
  });
  for (const end of ["pointerup", "pointercancel"])
    canvas.addEventListener(end, () => {
      last = null;
    });
  canvas.addEventListener("keydown", (event) => {
    if (onKey(event, page, labelNow)) event.preventDefault();
  });
}

/**
 * Answer a key: arrows move (with Shift they draw), space or Enter paints, a digit chooses a class, u
 * undoes.
 */
function onKey(event, page, labelNow) {
  const { key } = event;
  if ((event.ctrlKey || event.metaKey) && key.toLowerCase() === "z") return page.undo();
  if (event.ctrlKey || event.metaKey || event.altKey) return false;
  if (key.startsWith("Arrow")) {
    const from = page.cursor;
    page.cursor = neighbour(page.drawing, from, key);
    if (event.shiftKey) {
      page.remember();
      stroke(page.drawing, from, page.cursor, page.size(), labelNow());
    }
  } else if (key === " " || key === "Enter") {
    if (page.tool() === "pick") return true;
    page.remember();
    dab(page.drawing, page.cursor, page.size(), labelNow());
  } else if (/^[0-3]$/.test(key)) {
    return page.chooseClass(Number(key));
  } else if (key === "u") {
    return page.undo();
  } else {
    return false;
  }
  page.changed();
  page.announce();
  return true;
}
