"use strict";

// Drawings to begin with. Each rule answers the class of a pixel at (x, y), both from -1 to 1.

const GRID = 48;

function inEllipse(x, y, centreX, centreY, radiusX, radiusY = radiusX) {
  return ((x - centreX) / radiusX) ** 2 + ((y - centreY) / radiusY) ** 2 <= 1;
}

/**
 * A short axis of the heart: left ventricle (3) within the myocardium (2), the right ventricle (1) beside
 * it.
 */
function heartClass(x, y) {
  if (inEllipse(x, y, 0.24, 0, 0.3)) return 3;
  if (inEllipse(x, y, 0.24, 0, 0.53)) return 2;
  return inEllipse(x, y, -0.32, -0.04, 0.48, 0.58) ? 1 : 0;
}

/** A vessel a pixel or two wide, with a branch. */
function vesselClass(x, y) {
  const stem = Math.abs(y - 0.35 * Math.sin(2.6 * x)) < 0.045 && Math.abs(x) < 0.85;
  const branch = Math.abs(y + 1.1 * (x - 0.1) - 0.1) < 0.05 && x > 0.1 && x < 0.75;
  return stem || branch ? 1 : 0;
}

const PRESETS = [
  { id: "heart", label: "Heart", classes: 4, classOf: heartClass },
  { id: "disc", label: "Disc", classes: 2, classOf: (x, y) => (inEllipse(x, y, 0, 0, 0.55) ? 1 : 0) },
  {
    id: "rings",
    label: "Ring in a ring",
    classes: 3,
    classOf: (x, y) => {
      if (inEllipse(x, y, 0, 0, 0.3)) return 0;
      if (inEllipse(x, y, 0, 0, 0.52)) return 2;
      return inEllipse(x, y, 0, 0, 0.76) ? 1 : 0;
    },
  },
  { id: "vessel", label: "Thin vessel", classes: 2, classOf: vesselClass },
  {
    id: "rare",
    label: "Rare small class",
    classes: 3,
    classOf: (x, y) => {
      if (inEllipse(x, y, 0.32, -0.22, 0.08)) return 2;
      return inEllipse(x, y, 0, 0.05, 0.7, 0.5) ? 1 : 0;
    },
  },
  {
    id: "neighbours",
    label: "Near neighbours",
    classes: 3,
    classOf: (x, y) => {
      if (inEllipse(x, y, -0.42, -0.25, 0.38, 0.42) || inEllipse(x, y, 0.42, -0.25, 0.38, 0.42)) return 1;
      return inEllipse(x, y, 0, 0.52, 0.5, 0.28) ? 2 : 0;
    },
  },
  {
    id: "absent",
    label: "Absent class",
    classes: 3,
    classOf: (x, y) => (inEllipse(x, y, -0.1, 0, 0.5, 0.4) ? 1 : 0),
  },
  { id: "full", label: "Full class", classes: 2, classOf: () => 1 },
];

/** The drawing of a preset on the usual grid. */
function drawingOf(preset) {
  const labels = new Uint8Array(GRID * GRID);
  for (let row = 0; row < GRID; row++) {
    for (let column = 0; column < GRID; column++) {
      labels[row * GRID + column] = preset.classOf(
        ((column + 0.5) / GRID) * 2 - 1,
        ((row + 0.5) / GRID) * 2 - 1,
      );
    }
  }
  return { height: GRID, width: GRID, classes: preset.classes, labels, spacing: [1, 1] };
}
