"use strict";

// Pictures of the grid: one cell per pixel, in the proportions of the spacing.

/** Give a canvas the proportions of the grid and as many dots as the screen shows; returns its context. */
function sizedContext(canvas, drawing) {
  const { height, width, spacing } = drawing;
  const ratio = (width * spacing[1]) / (height * spacing[0]);
  canvas.style.aspectRatio = String(ratio);
  canvas.style.width = `${100 * Math.min(1, ratio)}%`; // no taller than wide
  const box = canvas.getBoundingClientRect();
  const dots = window.devicePixelRatio || 1;
  canvas.width = Math.max(width, Math.round(box.width * dots));
  canvas.height = Math.max(height, Math.round(canvas.width / ratio));
  return canvas.getContext("2d");
}

/** Fill the canvas with a colour [r, g, b] per pixel; returns its context. */
function paintCells(canvas, drawing, colourOf) {
  const { height, width } = drawing;
  const context = sizedContext(canvas, drawing);
  const cells = document.createElement("canvas");
  cells.width = width;
  cells.height = height;
  const image = new ImageData(width, height);
  for (let pixel = 0; pixel < height * width; pixel++) {
    const colour = colourOf(pixel);
    for (let part = 0; part < 3; part++) image.data[4 * pixel + part] = colour[part];
    image.data[4 * pixel + 3] = 255;
  }
  cells.getContext("2d").putImageData(image, 0, 0);
  context.imageSmoothingEnabled = false;
  context.drawImage(cells, 0, 0, canvas.width, canvas.height);
  return context;
}

/** Hatch the pixels for which `marked` answers true, with lines that run on from pixel to pixel. */
function hatchCells(context, drawing, marked) {
  const { height, width } = drawing;
  const { width: across, height: down } = context.canvas;
  const cells = new Path2D();
  for (let pixel = 0; pixel < height * width; pixel++) {
    if (!marked(pixel)) continue;
    cells.rect(
      ((pixel % width) * across) / width,
      (Math.floor(pixel / width) * down) / height,
      across / width,
      down / height,
    );
  }
  context.save();
  context.clip(cells);
  hatch(context, across, down);
  context.restore();
}

/** Diagonal lines over a rectangle, in ink with an edge of paper so that they show on every colour. */
function hatch(context, across, down) {
  const dots = window.devicePixelRatio || 1;
  const gap = 5 * dots;
  const lines = new Path2D();
  for (let x = -down; x < across; x += gap) {
    lines.moveTo(x, down);
    lines.lineTo(x + down, 0);
  }
  for (const [colour, breadth] of [
    [styleColour("--paper"), 2.2],
    [styleColour("--ink"), 1.1],
  ]) {
    context.strokeStyle = colour;
    context.lineWidth = breadth * dots;
    context.stroke(lines);
  }
}

/** Frame the pixel of the cursor. */
function frameCell(context, drawing, pixel) {
  const { height, width } = drawing;
  const { width: across, height: down } = context.canvas;
  const dots = window.devicePixelRatio || 1;
  const [w, h] = [across / width, down / height];
  const box = [(pixel % width) * w - dots, Math.floor(pixel / width) * h - dots, w + 2 * dots, h + 2 * dots];
  for (const [colour, breadth] of [
    [styleColour("--paper"), 4],
    [styleColour("--ink"), 1.8],
  ]) {
    context.strokeStyle = colour;
    context.lineWidth = breadth * dots;
    context.strokeRect(...box);
  }
}

/** The pixel of the grid under a pointer event, the nearest one where it is beside the picture. */
function pixelAt(canvas, drawing, event) {
  const box = canvas.getBoundingClientRect();
  const within = (part, size) => Math.min(size - 1, Math.max(0, Math.floor(part * size)));
  const row = within((event.clientY - box.top) / box.height, drawing.height);
  return row * drawing.width + within((event.clientX - box.left) / box.width, drawing.width);
}

/** A picture with a caption and a colour beside it, to be painted later; `choose` answers a click. */
function addPanel(parent, caption, colour, choose) {
  const figure = document.createElement("figure");
  const canvas = document.createElement("canvas");
  canvas.setAttribute("role", "img");
  const text = document.createElement("figcaption");
  if (colour) text.append(swatch(colour));
  text.append(caption);
  canvas.addEventListener("click", choose);
  figure.append(text, canvas);
  parent.append(figure);
  return canvas;
}

/** A number for people: three digits that count, a real minus sign. */
function said(value) {
  if (!Number.isFinite(value)) return "–";
  const size = Math.abs(value);
  if (size === 0) return "0";
  const text =
    size >= 1000
      ? String(Math.round(size))
      : size < 1e-3
        ? size.toExponential(1)
        : String(Number(size.toPrecision(3)));
  return (value < 0 ? "−" : "") + text;
}

/** A share in percent. */
function percent(share) {
  if (!Number.isFinite(share)) return "–";
  const value = 100 * share;
  return `${value > 0 && value < 0.1 ? "< 0.1" : Number(value.toFixed(value < 10 ? 1 : 0))}\u00a0%`;
}
