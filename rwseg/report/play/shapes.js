"use strict";

// Connected components and centrelines of masks, as SciPy and scikit-image find them.

/**
 * The connected components of a mask (N): a number from 1 on at each of its pixels, 0 elsewhere. Pixels touch
 * at their sides, with `corners` at their corners too.
 */
function componentsOf(mask, { height, width }, corners) {
  const numbers = new Uint16Array(mask.length);
  const steps = RING.filter(([down, right]) => corners || down === 0 || right === 0);
  let count = 0;
  for (let first = 0; first < mask.length; first++) {
    if (!mask[first] || numbers[first]) continue;
    numbers[first] = ++count;
    for (const open = [first]; open.length > 0; ) {
      const at = open.pop();
      const row = Math.floor(at / width);
      for (const [down, right] of steps) {
        const y = row + down;
        const x = (at % width) + right;
        const next = y * width + x;
        if (y < 0 || y >= height || x < 0 || x >= width || !mask[next] || numbers[next]) continue;
        numbers[next] = count;
        open.push(next);
      }
    }
  }
  return { numbers, count };
}

/** The eight neighbours in the order of the clock, a corner first: [rows down, columns right]. */
const RING = [
  [-1, -1],
  [-1, 0],
  [-1, 1],
  [0, 1],
  [1, 1],
  [1, 0],
  [1, -1],
  [0, -1],
];
const SIDES = [1, 5, 3, 7]; // in RING: above, below, right, left, the order in which layers are taken off

/**
 * The centreline of a mask (N): Lee, Kashyap and Chu (1994) in the plane. Layers are taken off side by side;
 * a pixel goes if its neighbours stay in one piece without it, and ends of lines stay.
 */
function thinned(mask, { height, width }) {
  const stride = width + 2; // a border of background
  const image = new Uint8Array(stride * (height + 2));
  const inside = [];
  for (let i = 0; i < mask.length; i++) {
    const at = (Math.floor(i / width) + 1) * stride + (i % width) + 1;
    image[at] = mask[i] ? 1 : 0;
    inside.push(at);
  }
  const offsets = RING.map(([down, right]) => down * stride + right);
  const around = (at) => offsets.map((offset) => image[at + offset]);
  for (let unchanged = 0; unchanged < SIDES.length; ) {
    unchanged = 0;
    for (const side of SIDES) {
      const layer = inside.filter(
        (at) => image[at] && !image[at + offsets[side]] && isSpare(around(at)) && !isEnd(around(at)),
      );
      let removed = 0;
      for (const at of layer) {
        if (!isSpare(around(at))) continue;
        image[at] = 0;
        removed++;
      }
      if (removed === 0) unchanged++;
    }
  }
  return Uint8Array.from(inside, (at) => image[at]);
}

/** Whether a pixel at the border can go: its neighbours are one piece (the crossing number). */
function isSpare(ring) {
  let pieces = 0;
  for (let i = 1; i < 8; i += 2) if (!ring[i] && (ring[(i + 1) % 8] || ring[(i + 2) % 8])) pieces++;
  return pieces === 1;
}

function isEnd(ring) {
  return ring.reduce((sum, value) => sum + value) === 1;
}

/**
 * The label of each pixel that is on a centreline of its class, none (classes) elsewhere and for the
 * background. A component that thinning leaves nothing of is its own centreline.
 */
function centrelines(drawing) {
  const { classes, labels } = drawing;
  const lines = new Uint8Array(labels.length).fill(classes);
  for (let k = 1; k < classes; k++) {
    const mask = labels.map((label) => (label === k ? 1 : 0));
    const thin = thinned(mask, drawing);
    const { numbers } = componentsOf(mask, drawing, true);
    const found = new Set(numbers.filter((_, i) => thin[i]));
    for (let i = 0; i < lines.length; i++) if (mask[i] && (thin[i] || !found.has(numbers[i]))) lines[i] = k;
  }
  return lines;
}
