"use strict";

// The picture of a pixel's predictions: regions of wrong signs, the prediction, and where a gradient step
// moves it.

const INTERVAL = 0.2; // height of the interval of two classes, in lengths of it

/** How the figure lies in its canvas: from places of side 1 to dots, and back. */
function simplexFrame(canvas, corners) {
  const dots = window.devicePixelRatio || 1;
  const box = canvas.getBoundingClientRect();
  const margin = 34 * dots;
  const across = Math.round(box.width * dots);
  const side = across - 2 * margin;
  const tall = corners === 2 ? INTERVAL : TRIANGLE;
  canvas.width = across;
  canvas.height = Math.round(side * tall + 2 * margin);
  canvas.style.aspectRatio = `${canvas.width} / ${canvas.height}`;
  const base = canvas.height - margin - (corners === 2 ? (side * INTERVAL) / 2 : 0);
  return {
    dots,
    side,
    margin,
    toDots: ([x, y]) => [margin + x * side, base - y * side],
    toPlace: (x, y) => [(x - margin) / side, (base - y) / side],
  };
}

/** The outline: a triangle, or a bar for the interval. */
function outlineOf(frame, corners) {
  const path = new Path2D();
  if (corners === 2) {
    const [x, y] = frame.toDots([0, INTERVAL / 2]);
    path.rect(x, y, frame.side, frame.side * INTERVAL);
    return path;
  }
  [
    [1, 0, 0],
    [0, 1, 0],
    [0, 0, 1],
  ].forEach((weights, i) => path[i ? "lineTo" : "moveTo"](...frame.toDots(placeOf(weights))));
  path.closePath();
  return path;
}

/** Colour the regions of wrong signs; `faultAt(weights)` answers for a prediction. */
function paintFaults(canvas, frame, corners, faultAt) {
  const block = Math.max(1, Math.round(frame.dots));
  const [across, down] = [Math.ceil(canvas.width / block), Math.ceil(canvas.height / block)];
  const image = new ImageData(across, down);
  for (let row = 0; row < down; row++) {
    for (let column = 0; column < across; column++) {
      const place = frame.toPlace((column + 0.5) * block, (row + 0.5) * block);
      const weights = weightsAt(corners === 2 ? [place[0], 0] : place, corners);
      if (Math.min(...weights) < -0.03) continue;
      const colour = FAULT[faultAt(clampedWeights(weights)) & (TRUE_DOWN | WRONG_UP)];
      if (colour) image.data.set([...rgbOf(colour), 150], 4 * (row * across + column));
    }
  }
  const small = document.createElement("canvas");
  small.width = across;
  small.height = down;
  small.getContext("2d").putImageData(image, 0, 0);
  canvas.getContext("2d").drawImage(small, 0, 0, across * block, down * block);
}

/** Names at the corners, each with the colour of its class. */
function nameCorners(canvas, frame, corners, names) {
  const context = canvas.getContext("2d");
  const { dots } = frame;
  context.font = `${13 * dots}px system-ui, sans-serif`;
  corners.forEach((k, i) => {
    const weights = corners.map((_, j) => Number(i === j));
    let [x, y] = frame.toDots(placeOf(weights));
    const top = i === 2;
    const drop = corners.length === 2 ? (frame.side * INTERVAL) / 2 : 0;
    y += top ? -14 * dots : drop + 18 * dots;
    const text = i === corners.length - 1 ? `${names[k]} (true)` : names[k];
    const breadth = context.measureText(text).width + 16 * dots;
    x = Math.min(canvas.width - breadth - 2 * dots, Math.max(2 * dots, x - breadth / 2));
    context.fillStyle = classColours()[k];
    context.strokeStyle = styleColour("--muted");
    context.lineWidth = dots;
    context.fillRect(x, y - 6 * dots, 11 * dots, 11 * dots);
    context.strokeRect(x, y - 6 * dots, 11 * dots, 11 * dots);
    context.fillStyle = styleColour("--ink");
    context.textBaseline = "middle";
    context.fillText(text, x + 16 * dots, y);
  });
}

/** A dot at the prediction, with an arrow that shows where a gradient step takes it. */
function pointAndArrow(context, frame, weights, motion) {
  const [x, y] = frame.toDots(placeOf(weights));
  const { dots } = frame;
  const [dx, dy] = frame
    .toDots(placeOf(weights.map((weight, i) => weight + motion[i])))
    .map((end, i) => end - [x, y][i]);
  const length = Math.hypot(dx, dy);
  context.save();
  for (const [colour, extra] of [
    [styleColour("--paper"), 3],
    [styleColour("--ink"), 0],
  ]) {
    context.strokeStyle = context.fillStyle = colour;
    context.lineWidth = (2 + extra) * dots;
    context.beginPath();
    context.arc(x, y, (4 + extra / 2) * dots, 0, 2 * Math.PI);
    context.fill();
    if (length > 0) arrow(context, x, y, (dx / length) * 34 * dots, (dy / length) * 34 * dots, 7 * dots);
  }
  context.restore();
}

function arrow(context, x, y, dx, dy, head) {
  const angle = Math.atan2(dy, dx);
  context.beginPath();
  context.moveTo(x, y);
  context.lineTo(x + dx, y + dy);
  for (const turn of [2.6, -2.6]) {
    context.moveTo(x + dx, y + dy);
    context.lineTo(x + dx + head * Math.cos(angle + turn), y + dy + head * Math.sin(angle + turn));
  }
  context.stroke();
}

/** Draw it all for one pixel: { p, z, label, corners, squared, names }. */
function drawSimplex(canvas, { p, z, label, corners, squared, names }) {
  const frame = simplexFrame(canvas, corners.length);
  const context = canvas.getContext("2d");
  const outline = outlineOf(frame, corners.length);
  context.fillStyle = styleColour("--raised");
  context.fill(outline);
  context.save();
  context.clip(outline);
  paintFaults(canvas, frame, corners.length, (weights) =>
    pixelFault(pixelGradient(predictionAt(weights, corners, p), z, squared), label, 0),
  );
  context.restore();
  context.strokeStyle = styleColour("--muted");
  context.lineWidth = 1.5 * frame.dots;
  context.stroke(outline);
  nameCorners(canvas, frame, corners, names);
  const free = corners.reduce((sum, k) => sum + p[k], 0);
  const motion = softmaxMotion(p, pixelGradient(p, z, squared));
  pointAndArrow(
    context,
    frame,
    corners.map((k) => p[k] / free),
    corners.map((k) => motion[k]),
  );
}
