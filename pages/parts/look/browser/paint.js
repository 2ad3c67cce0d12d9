// Painting of masks: what is seen depends on these arguments alone.
//
// A layer is { mask: Uint8Array of height x width classes, palette: [[r, g, b]], shown: [bool] }.
// A size is { width, height } of the canvas; a scene { width, height, truth } of the masks.

const VOID = 255
const WRONG = { first: [213, 94, 0], second: [0, 114, 178], both: [240, 228, 66] }
const EDGE = 2 // canvas pixels of an outline on either side of a border

// For each column or row of the canvas the one of the mask that lies there.
const places = (count, from) => Int32Array.from({ length: count }, (_, n) => Math.floor(((n + 0.5) * from) / count))

// Whether a canvas pixel takes the dark stroke of its class's pattern: six kinds, the first plain.
const stroked = (kind, x, y) => {
  if (kind === 1) return (x + y) % 9 < 2
  if (kind === 2) return (x - y + 90000) % 9 < 2
  if (kind === 3) return y % 8 < 2
  if (kind === 4) return x % 8 < 2
  if (kind === 5) return x % 7 < 3 && y % 7 < 3
  return false
}

const isEdge = (mask, xs, ys, width, x, y) => {
  const own = mask[ys[y] * width + xs[x]]
  const right = xs[Math.min(x + EDGE, xs.length - 1)]
  const left = xs[Math.max(x - EDGE, 0)]
  const below = ys[Math.min(y + EDGE, ys.length - 1)]
  const above = ys[Math.max(y - EDGE, 0)]
  const row = ys[y] * width
  return mask[row + right] !== own || mask[row + left] !== own ||
    mask[below * width + xs[x]] !== own || mask[above * width + xs[x]] !== own
}

// The colours of a layer. `keep`, where given, holds 1 for each mask pixel that may be shown.
function paintLayer(layer, scene, size, { outline, patterns, keep }) {
  const image = new ImageData(size.width, size.height)
  const words = new Uint32Array(image.data.buffer)
  const colour = layer.palette.map(([r, g, b]) => 0xff000000 | (b << 16) | (g << 8) | r)
  const dark = layer.palette.map(([r, g, b]) => {
    const [x, y, z] = r + g + b < 200 ? [r + 90, g + 90, b + 90] : [r >> 1, g >> 1, b >> 1]
    return 0xff000000 | (z << 16) | (y << 8) | x
  })
  const xs = places(size.width, scene.width)
  const ys = places(size.height, scene.height)
  for (let y = 0, at = 0; y < size.height; y += 1) {
    const row = ys[y] * scene.width
    for (let x = 0; x < size.width; x += 1, at += 1) {
      const pixel = row + xs[x]
      const label = layer.mask[pixel]
      if (label === VOID || !layer.shown[label] || (keep && !keep[pixel])) continue
      if (outline && !isEdge(layer.mask, xs, ys, scene.width, x, y)) continue
      words[at] = patterns && stroked(label % 6, x, y) ? dark[label] : colour[label]
    }
  }
  return image
}

// For each mask pixel 1 where a prediction is wrong; what is void is never wrong.
function wrongPixels(truth, mask) {
  const found = new Uint8Array(truth.length)
  for (let at = 0; at < truth.length; at += 1) found[at] = truth[at] !== VOID && mask[at] !== truth[at] ? 1 : 0
  return found
}

// The union of some such maps.
function anyOf(maps) {
  const found = new Uint8Array(maps[0].length)
  for (const map of maps) for (let at = 0; at < map.length; at += 1) found[at] |= map[at]
  return found
}

// Stripes one way where the first is wrong, the other way where the second is, both ways for both.
function paintDifference(first, second, scene, size) {
  const image = new ImageData(size.width, size.height)
  const words = new Uint32Array(image.data.buffer)
  const pack = ([r, g, b]) => 0xff000000 | (b << 16) | (g << 8) | r
  const black = 0xff000000
  const xs = places(size.width, scene.width)
  const ys = places(size.height, scene.height)
  for (let y = 0, at = 0; y < size.height; y += 1) {
    const row = ys[y] * scene.width
    for (let x = 0; x < size.width; x += 1, at += 1) {
      const one = first[row + xs[x]]
      const other = second ? second[row + xs[x]] : 0
      if (!one && !other) continue
      const rising = stroked(1, x, y)
      const falling = stroked(2, x, y)
      if (one && other) words[at] = rising || falling ? black : pack(WRONG.both)
      else if (one) words[at] = rising ? black : pack(WRONG.first)
      else words[at] = falling ? black : pack(WRONG.second)
    }
  }
  return image
}

// (class, share of the told pixels), the most frequent first.
function sharesOf(layer) {
  const counts = new Array(layer.palette.length).fill(0)
  let told = 0
  for (const label of layer.mask) if (label !== VOID) { counts[label] += 1; told += 1 }
  return counts.map((count, label) => [label, count / Math.max(told, 1)])
    .filter(([, share]) => share > 0).sort((one, other) => other[1] - one[1])
}

const bytesOf = (text) => Uint8Array.from(atob(text), (letter) => letter.charCodeAt(0))

async function unpacked(text) {
  const stream = new Blob([bytesOf(text)]).stream().pipeThrough(new DecompressionStream('deflate'))
  return new Uint8Array(await new Response(stream).arrayBuffer())
}
