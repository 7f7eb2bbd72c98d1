"use strict";

// Region-wise maps as `rwseg.maps.Composition` makes them: a base map of the labels, then modifiers, each (K,
// N) to (K, N).

/** A map whose entries at the true class and at the others are functions of pixel and class. */
function mapOf(drawing, trueEntry, wrongEntry) {
  const { classes, labels } = drawing;
  const size = labels.length;
  const map = new Float64Array(classes * size);
  for (let k = 0; k < classes; k++) {
    for (let i = 0; i < size; i++) map[k * size + i] = labels[i] === k ? trueEntry(i, k) : wrongEntry(i, k);
  }
  return map;
}

/** The same with the weight z that a map has there now: functions of z and pixel. */
function changed(map, drawing, trueEntry, wrongEntry) {
  const size = drawing.labels.length;
  return mapOf(
    drawing,
    (i, k) => trueEntry(map[k * size + i], i),
    (i, k) => wrongEntry(map[k * size + i], i),
  );
}

function isOneClass({ labels }) {
  return labels.every((label) => label === labels[0]);
}

const BASES = {
  /** Minus the inside distance at the true class, the outside distance elsewhere (Eq. 3). */
  boundary(drawing) {
    const inside = insideDistance(drawing);
    const outside = outsideDistances(drawing);
    const size = inside.length;
    return mapOf(
      drawing,
      (i) => -inside[i],
      (i, k) => outside[k * size + i],
    );
  },
  /** The inside distance shortened by a pixel: 0 on the inner border of a class. */
  boundary_kervadec(drawing) {
    const { height, width, spacing } = drawing;
    const steps = spacing.filter((_, axis) => [height, width][axis] > 1);
    const pixel = isOneClass(drawing) ? 0 : Math.min(...steps);
    return changed(
      BASES.boundary(drawing),
      drawing,
      (z) => Math.min(0, z + pixel),
      (z) => z,
    );
  },
  /** -d / max d at the true class, 1 elsewhere (Eq. 4). */
  rrw(drawing) {
    return MODIFIERS.anneal(BASES.boundary(drawing), drawing, 1);
  },
  /** 0 at the true class, 1 elsewhere (Eq. 17). */
  active_contour(drawing) {
    return mapOf(
      drawing,
      () => 0,
      () => 1,
    );
  },
  /** 0 at the true class, distance^alpha elsewhere (Eq. 25). */
  hausdorff(drawing, alpha = 2) {
    const outside = outsideDistances(drawing);
    const size = drawing.labels.length;
    return mapOf(
      drawing,
      () => 0,
      (i, k) => outside[k * size + i] ** alpha,
    );
  },
  /** alpha at the true class, -beta elsewhere (Eq. 29). */
  constant(drawing, { alpha, beta }) {
    return mapOf(
      drawing,
      () => alpha,
      () => -beta,
    );
  },
  ...EMPHASIS,
};

/** The largest of values (N) over the pixels of each class, an array of K; 1 where all are 0. */
function largestOfClass(values, { classes, labels }) {
  const largest = new Float64Array(classes);
  labels.forEach((label, i) => {
    largest[label] = Math.max(largest[label], values[i]);
  });
  return largest.map((value) => value || 1);
}

/** The absolute true entry of each pixel, and the largest of its wrong ones. */
function largestEntries(map, { classes, labels }) {
  const size = labels.length;
  const truth = new Float64Array(size);
  const wrong = new Float64Array(size);
  for (let k = 0; k < classes; k++) {
    for (let i = 0; i < size; i++) {
      const weight = Math.abs(map[k * size + i]);
      if (labels[i] === k) truth[i] = weight;
      else wrong[i] = Math.max(wrong[i], weight);
    }
  }
  return [truth, wrong];
}

const MODIFIERS = {
  /** The wrong classes of a pixel weigh their mean (section 3.3). */
  rectify(map, drawing) {
    const { classes, labels } = drawing;
    const size = labels.length;
    const mean = new Float64Array(size);
    for (let k = 0; k < classes; k++) {
      for (let i = 0; i < size; i++) if (labels[i] !== k) mean[i] += map[k * size + i] / (classes - 1);
    }
    return changed(
      map,
      drawing,
      (z) => z,
      (_, i) => mean[i],
    );
  },
  /** True entries in [-1, 0], wrong ones in [0, 1]: divided by the largest of the class, or of the image. */
  normalise(map, drawing, per) {
    if (per === "none") return map;
    const [truth, wrong] = largestEntries(map, drawing).map((values) =>
      per === "per_class"
        ? largestOfClass(values, drawing)
        : new Float64Array(drawing.classes).fill(values.reduce((a, b) => Math.max(a, b), 0) || 1),
    );
    const { labels } = drawing;
    return changed(
      map,
      drawing,
      (z, i) => z / truth[labels[i]],
      (z, i) => z / wrong[labels[i]],
    );
  },
  /** The wrong entries of the pixels of class m times weights[m] (section 3.2). */
  class_weights(map, drawing, weights) {
    return changed(
      map,
      drawing,
      (z) => z,
      (z, i) => z * weights[drawing.labels[i]],
    );
  },
  /** No weight beyond `largest` on either side of 0. */
  clip(map, drawing, largest) {
    return map.map((z) => Math.max(-largest, Math.min(largest, z)));
  },
  /** |z|^exponent with the sign of z. */
  power(map, drawing, exponent) {
    return map.map((z) => Math.sign(z) * Math.abs(z) ** exponent);
  },
  /**
   * From boundary (t = 0) to RRW (t = 1): -d / (max d)^t at the true class, d^(1 - t) elsewhere; 0^0 is 1.
   */
  anneal(map, drawing, t) {
    if (t === 0) return map;
    const depth = largestEntries(map, drawing)[0];
    const largest = largestOfClass(depth, drawing);
    const { labels } = drawing;
    return changed(
      map,
      drawing,
      (_, i) => -depth[i] / largest[labels[i]] ** t,
      (z) => Math.max(0, z) ** (1 - t),
    );
  },
  /** (1 - weight) z + weight z', the other map given by its list. */
  mix(map, drawing, { map: parts, weight }) {
    const other = composeMap(drawing, parts);
    return map.map((z, i) => (1 - weight) * z + weight * other[i]);
  },
};

/** The map (K, N) of a composition: a list as in `loss.map`, of names and of { name: argument }. */
function composeMap(drawing, parts) {
  const read = (part) => (typeof part === "string" ? [part] : Object.entries(part)[0]);
  const [[base, argument], ...changes] = parts.map(read);
  return changes.reduce(
    (map, [name, value]) => MODIFIERS[name](map, drawing, value),
    BASES[base](drawing, argument),
  );
}

/** Whether the wrong classes of every pixel weigh the same, at least 0, and the true one at most 0. */
function isRectified(map, { classes, labels }) {
  const size = labels.length;
  return labels.every((label, i) => {
    const others = atPixel(map, classes, i).filter((_, k) => k !== label);
    return Math.max(...others) - Math.min(...others) <= 1e-6 && others[0] >= 0 && map[label * size + i] <= 0;
  });
}
