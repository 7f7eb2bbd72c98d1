"use strict";

// Bases that put weight where it matters: borders, centrelines, gaps between instances.

const EMPHASIS = {
  /**
   * -exp(-d / width) at the true class, 1 elsewhere; an image of one class has no border, and 0 (after
   * Caliva).
   */
  edge_emphasis(drawing, width) {
    const inside = insideDistance(drawing);
    const none = isOneClass(drawing);
    return mapOf(
      drawing,
      (i) => (none ? 0 : -Math.exp(-inside[i] / width)),
      () => 1,
    );
  },
  /**
   * -d / (d + s) at the true class with the distance s to its centreline, 1 elsewhere; the background as in
   * RRW.
   */
  skeleton(drawing) {
    const { classes, labels } = drawing;
    const border = insideDistance(drawing);
    const lines = centrelines(drawing);
    const centre = outsideDistances({ ...drawing, classes: classes + 1, labels: lines });
    const depth = largestOfClass(border, drawing)[0];
    const none = isOneClass(drawing);
    return mapOf(
      drawing,
      (i, k) => {
        if (none) return -1;
        return -border[i] / (k === 0 ? depth : border[i] + centre[k * labels.length + i]);
      },
      () => 1,
    );
  },
  /**
   * 0 at the true class, 1 + w0 exp(-(d1 + d2)^2 / (2 sigma^2)) elsewhere, by the distances to the two nearest
   * components of foreground classes (after Ronneberger).
   */
  border_between_instances(drawing, { w0 = 10, sigma = 5 } = {}) {
    const reach = toTwoInstances(drawing);
    return mapOf(
      drawing,
      () => 0,
      (i) => 1 + w0 * Math.exp(-(reach[i] ** 2) / (2 * sigma ** 2)),
    );
  },
};

/**
 * The sum of the distances to the two nearest instances, 0 in an instance itself; infinite without two.
 *
 * Instances are numbered, and two numbers differ in a bit: of the distances to those that have the bit and to
 * those that have it not, the larger, for the bit in which it is smallest, is that to the second instance.
 */
function toTwoInstances(drawing) {
  const { classes, labels } = drawing;
  const numbers = new Uint16Array(labels.length);
  let count = 0;
  for (let k = 1; k < classes; k++) {
    const mask = labels.map((label) => (label === k ? 1 : 0));
    const found = componentsOf(mask, drawing, false);
    found.numbers.forEach((number, i) => {
      if (number > 0) numbers[i] = count + number;
    });
    count += found.count;
  }
  const nearest = new Float64Array(labels.length).fill(Infinity);
  const second = nearest.slice();
  for (let bit = 1; bit < count; bit *= 2) {
    const [without, having] = [0, bit].map((value) =>
      distanceTo({ ...drawing, labels: numbers }, (number) => number > 0 && ((number - 1) & bit) === value),
    );
    for (let i = 0; i < nearest.length; i++) {
      nearest[i] = Math.min(without[i], having[i]);
      second[i] = Math.min(second[i], Math.max(without[i], having[i]));
    }
  }
  return nearest.map((value, i) => value + second[i]);
}
