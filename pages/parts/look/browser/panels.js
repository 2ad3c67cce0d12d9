// The panels: canvases, what is on them, and what the pointer tells.

// What a person chose stays while pages are changed; the rest is the page's.
const kept = window.distillScene ??= {
  mode: 'side', opacity: 0.65, outline: false, wrong: false, patterns: false,
  over: 'first', left: 'first', right: 'second', split: 0.5, off: {},
}

const make = (tag, props = {}, ...inside) => {
  const node = document.createElement(tag)
  for (const [name, value] of Object.entries(props)) {
    if (name === 'class') node.className = value
    else if (name.startsWith('on')) node[name] = value
    else if (value !== undefined && value !== false) node.setAttribute(name, value === true ? '' : value)
  }
  node.append(...inside)
  return node
}

const POINT = 'Point at a picture to read the classes there. Keys: ← and → turn the page, H hides the masks.'

class Panels {
  // [role, caption, note] of each panel.
  wanted() {
    if (kept.mode === 'overlay') return [[kept.over, this.layers[kept.over].name, this.layers[kept.over].note]]
    if (kept.mode === 'swipe') return [['swipe', `${this.layers[kept.left].name} | ${this.layers[kept.right].name}`, 'drag, or use the slider below']]
    const parts = [['picture', 'Picture', '']]
    for (const { role, name, note } of Object.values(this.layers)) parts.push([role, name, note])
    if (this.compared()) parts.push(['difference', this.compared(), ''])
    return parts
  }

  // What the last panel tells, or nothing where no net can be compared.
  compared() {
    const { first, second, differ } = this.wrong
    if (differ) return 'Where they differ'
    if (first && second) return 'Where they are wrong'
    return first ? 'Where A is wrong' : ''
  }

  draw() {
    if (!this.data) return
    const parts = this.wanted()
    const one = kept.mode !== 'side'
    this.drawnWidth = this.root.clientWidth
    this.panels.className = one ? 'panels one' : 'panels'
    const key = parts.map((part) => part.join(' ')).join('|') + kept.mode
    if (key !== this.panelKey) {
      this.panelKey = key
      this.panels.replaceChildren(...parts.map((part) => this.panel(part)))
    }
    parts.forEach(([role], n) => this.fill(this.panels.children[n], role, one))
  }

  panel([role, name, note]) {
    const canvas = make('canvas', { role: 'img', 'data-role': role,
      onpointermove: (event) => this.point(event), onpointerdown: (event) => this.point(event), onpointerleave: () => this.leave() })
    const caption = make('figcaption', {}, make('strong', {}, name), note ? make('small', {}, ` ${note}`) : '')
    if (role === 'difference') caption.append(' ', ...this.legend())
    const slider = role === 'swipe' ? [make('input', { type: 'range', min: 0, max: 100, value: kept.split * 100, style: 'width: 100%',
      'aria-label': 'Where the left mask ends', oninput: (event) => { kept.split = event.target.value / 100; this.draw() } })] : []
    return make('figure', {}, caption, make('div', { class: 'frame' }, canvas, make('span', { class: 'dot' })), ...slider)
  }

  legend() {
    const css = (name) => `background: rgb(${WRONG[name].join(', ')})`
    const item = (name, text) => make('span', { class: 'key' }, make('span', { class: 'swatch', style: css(name) }), text)
    if (this.wrong.differ || !this.wrong.second) return []
    const { first, second } = this.wrong
    return [...(first ? [item('first', 'A')] : []), ...(second ? [item('second', 'B')] : []), ...(first && second ? [item('both', 'both')] : [])]
  }

  fill(figure, role, one) {
    const { width, height } = this.scene
    const frame = figure.querySelector('.frame')
    frame.style.maxWidth = one ? `${Math.max(240, 0.68 * window.innerHeight * width / height)}px` : ''
    const across = frame.clientWidth || 300
    const size = { width: Math.round(across * Math.min(devicePixelRatio || 1, 2)), height: 0 }
    size.height = Math.max(1, Math.round(size.width * height / width))
    const canvas = figure.querySelector('canvas')
    if (canvas.width !== size.width || canvas.height !== size.height) Object.assign(canvas, size)
    const ctx = canvas.getContext('2d')
    ctx.imageSmoothingEnabled = this.picture.width >= 256
    ctx.globalAlpha = 1
    ctx.filter = role === 'difference' ? 'grayscale(1) brightness(0.8)' : 'none'
    ctx.clearRect(0, 0, size.width, size.height)
    ctx.drawImage(this.picture, 0, 0, size.width, size.height)
    ctx.filter = 'none'
    canvas.setAttribute('aria-label', this.told(role))
    if (this.hides || role === 'picture') return
    ctx.imageSmoothingEnabled = false
    if (role === 'difference') this.lay(ctx, this.apart(size), 0.85)
    else if (role === 'swipe') this.swipe(ctx, size)
    else this.lay(ctx, this.painted(role, size), this.cover())
  }

  cover() {
    return kept.outline ? 1 : kept.opacity
  }

  apart(size) {
    const { first, second, differ } = this.wrong
    if (differ) return paintDifference(differ, null, this.scene, size)
    const none = new Uint8Array(this.scene.width * this.scene.height)
    return paintDifference(first ?? none, second, this.scene, size)
  }

  painted(role, size) {
    const layer = this.layers[role]
    let keep = null
    if (kept.wrong && (this.wrong.first || this.wrong.second)) {
      const maps = [this.wrong.first, this.wrong.second].filter(Boolean)
      keep = role === 'truth' ? anyOf(maps) : this.wrong[role]
    }
    return paintLayer(layer, this.scene, size, { outline: kept.outline, patterns: kept.patterns, keep })
  }

  lay(ctx, image, alpha, clip) {
    this.scratch ??= document.createElement('canvas')
    Object.assign(this.scratch, { width: image.width, height: image.height })
    this.scratch.getContext('2d').putImageData(image, 0, 0)
    ctx.save()
    if (clip) { ctx.beginPath(); ctx.rect(...clip); ctx.clip() }
    ctx.globalAlpha = alpha
    ctx.drawImage(this.scratch, 0, 0)
    ctx.restore()
  }

  swipe(ctx, size) {
    const at = Math.round(kept.split * size.width)
    this.lay(ctx, this.painted(kept.left, size), this.cover(), [0, 0, at, size.height])
    this.lay(ctx, this.painted(kept.right, size), this.cover(), [at, 0, size.width - at, size.height])
    ctx.fillStyle = '#000'
    ctx.fillRect(at - 2, 0, 4, size.height)
    ctx.fillStyle = '#fff'
    ctx.fillRect(at - 1, 0, 2, size.height)
  }

  // What a panel shows, in words.
  told(role) {
    const layer = this.layers[role]
    if (!layer) return role === 'picture' ? this.data.alt : `${this.data.alt}: ${this.panels.querySelector(`[data-role="${role}"]`)?.closest('figure').textContent ?? ''}`
    const most = layer.shares.slice(0, 4).map(([label, share]) => `${layer.classes[label]} ${Math.round(share * 100)} %`)
    return `${this.data.alt}, ${layer.name}: ${most.join(', ')}`
  }

  point(event) {
    const canvas = event.target
    const box = canvas.getBoundingClientRect()
    const [u, v] = [(event.clientX - box.left) / box.width, (event.clientY - box.top) / box.height]
    if (canvas.dataset.role === 'swipe' && event.buttons) {
      kept.split = Math.min(Math.max(u, 0), 1)
      canvas.setPointerCapture?.(event.pointerId)
      canvas.closest('figure').querySelector('input').value = kept.split * 100
      this.draw()
    }
    if (u < 0 || v < 0 || u >= 1 || v >= 1) return this.leave()
    const at = Math.floor(v * this.scene.height) * this.scene.width + Math.floor(u * this.scene.width)
    const lines = Object.values(this.layers).map((layer) => {
      const label = layer.mask[at]
      const said = label === VOID ? 'not told' : layer.classes[label]
      return `${layer.role === 'truth' ? 'Truth' : layer.name}: ${said}${this.wrong[layer.role]?.[at] ? ' (wrong)' : ''}`
    })
    this.says.textContent = lines.join(' · ')
    this.hint.textContent = lines.join('\n')
    const home = this.root.getBoundingClientRect()
    this.hint.style.display = 'block'
    const left = Math.min(event.clientX - home.left + 14, home.width - this.hint.offsetWidth - 4)
    this.hint.style.left = `${Math.max(0, left)}px`
    this.hint.style.top = `${event.clientY - home.top + 18}px`
    for (const dot of this.panels.querySelectorAll('.dot')) {
      const own = dot.parentElement.firstElementChild === canvas
      Object.assign(dot.style, { display: own ? 'none' : 'block', left: `${u * 100}%`, top: `${v * 100}%` })
    }
  }

  leave() {
    this.hint.style.display = 'none'
    this.says.textContent = POINT
    for (const dot of this.panels.querySelectorAll('.dot')) dot.style.display = 'none'
  }

  // All panels with their captions in one picture.
  save() {
    const parts = [...this.panels.querySelectorAll('figure')].map((figure) => [figure.querySelector('strong').textContent, figure.querySelector('canvas')])
    const [wide, tall] = [Math.max(...parts.map(([, one]) => one.width)), Math.max(...parts.map(([, one]) => one.height))]
    const columns = Math.min(parts.length, 3)
    const [gap, line] = [Math.round(wide / 40) + 4, Math.max(16, Math.round(wide / 18))]
    const sheet = make('canvas', { width: columns * (wide + gap) + gap, height: Math.ceil(parts.length / columns) * (tall + line * 1.6 + gap) + gap })
    const ctx = sheet.getContext('2d')
    ctx.fillStyle = '#ffffff'
    ctx.fillRect(0, 0, sheet.width, sheet.height)
    ctx.fillStyle = '#1f2933'
    ctx.font = `${line}px sans-serif`
    parts.forEach(([name, canvas], n) => {
      const [x, y] = [gap + (n % columns) * (wide + gap), gap + Math.floor(n / columns) * (tall + line * 1.6 + gap)]
      ctx.fillText(name, x, y + line, wide)
      ctx.drawImage(canvas, x, y + line * 1.4)
    })
    sheet.toBlob((blob) => {
      const link = make('a', { href: URL.createObjectURL(blob), download: `${this.data.file}.png` })
      link.click()
      setTimeout(() => URL.revokeObjectURL(link.href), 10000)
    })
  }
}
