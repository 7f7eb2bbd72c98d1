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

/** The sum of the distances to the two nearest instances, 0 in an instance itself; infinite without two. */
function toTwoInstances(drawing) {
  const { classes, labels } = drawing;
  const nearest = new Float64Array(labels.length).fill(Infinity);
  const second = nearest.slice();
  for (let k = 1; k < classes; k++) {
    const mask = labels.map((label) => (label === k ? 1 : 0));
    const { numbers, count } = componentsOf(mask, drawing, false);
    for (let number = 1; number <= count; number++) {
      const distance = distanceTo({ ...drawing, labels: numbers }, (own) => own === number);
      distance.forEach((value, i) => {
        second[i] = Math.min(second[i], Math.max(nearest[i], value));
        nearest[i] = Math.min(nearest[i], value);
      });
    }
  }
  return nearest.map((value, i) => value + second[i]);
}
