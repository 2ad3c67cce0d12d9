// One comparison: picture, truth, two nets and where they are wrong, redrawn without a round trip.

const MODES = { side: 'Side by side', overlay: 'Overlay', swipe: 'Swipe' }
const TYPING = 'input:not([type="checkbox"]), textarea, select, [contenteditable="true"], [role="slider"], [role="listbox"], ' +
  '[role="combobox"], [role="tab"], [role="radio"], [role="grid"], [role="menu"], [role="dialog"]'

class View extends Panels {
  constructor(root) {
    super()
    this.root = root
    this.hides = false
    this.target = null
    this.observer = new ResizeObserver(() => this.later())
    this.observer.observe(root)
    this.hint = make('div', { class: 'hint' })
    this.says = make('div', { class: 'says' }, POINT)
    this.bar = make('div')
    this.tools = make('div', { class: 'tools' })
    this.panels = make('div', { class: 'panels' })
    this.under = make('div')
    root.replaceChildren(this.bar, this.tools, this.panels, this.says, this.under, this.hint)
  }

  listen() {
    this.ears?.abort()
    this.ears = new AbortController()
    const { signal } = this.ears
    document.addEventListener('keydown', (event) => this.pressed(event), { signal })
    document.addEventListener('keyup', (event) => { if (event.key.toLowerCase() === 'h') this.hide(false) }, { signal })
    window.addEventListener('blur', () => this.hide(false), { signal })
  }

  close() {
    this.ears?.abort()
    this.observer.disconnect()
  }

  pressed(event) {
    const inside = event.composedPath().some((node) => node.matches?.(TYPING))
    if (inside || event.ctrlKey || event.altKey || event.metaKey || !this.data) return
    if (event.key === 'ArrowRight' || event.key === 'ArrowLeft') {
      event.preventDefault()
      this.go(event.key === 'ArrowRight' ? 1 : -1)
    } else if (event.key.toLowerCase() === 'h') this.hide(true)
  }

  go(by) {
    const from = this.target ?? this.data.position
    const to = Math.min(Math.max(from + by, 1), this.data.count)
    if (to === from) return
    this.target = to
    this.asked = performance.now()
    this.place.textContent = `${to} of ${this.data.count}`
    this.tell(to)
    if (this.near.has(to)) this.show(this.near.get(to))
  }

  hide(hides) {
    if (this.hides === hides) return
    this.hides = hides
    this.draw()
  }

  later() {
    if (this.waits || this.root.clientWidth === this.drawnWidth) return
    this.waits = requestAnimationFrame(() => { this.waits = 0; this.draw() })
  }

  // What the page sends: a picture, and those before and after it, so that they are there at once.
  receive(data) {
    if (data.list !== this.list) Object.assign(this, { list: data.list, target: null, decoded: new Map() })
    this.near = new Map([data, ...data.near].map((one) => [one.position, one]))
    for (const one of this.near.values()) this.decode(one)
    for (const version of this.decoded.keys()) if (this.decoded.size > 3 * this.near.size) this.decoded.delete(version)
    if (this.target === data.position) this.target = null
    if (this.target === null) this.show(data)
    else if (this.near.has(this.target)) this.show(this.near.get(this.target))
  }

  decode(data) {
    if (!this.decoded.has(data.version)) {
      const masks = data.layers.map((layer) => unpacked(layer.mask))
      const picture = createImageBitmap(new Blob([bytesOf(data.picture)]))
      this.decoded.set(data.version, Promise.all([picture, ...masks]))
    }
    return this.decoded.get(data.version)
  }

  async show(data) {
    if (data.version === this.version) return
    this.version = data.version
    const begun = performance.now()
    const [picture, ...masks] = await this.decode(data)
    if (data.version !== this.version) return
    this.data = data
    this.picture = picture
    this.layers = Object.fromEntries(data.layers.map((layer, n) => {
      const key = layer.classes.join('|')
      const shown = kept.off[key] ??= layer.classes.map(() => true)
      const whole = { ...layer, mask: masks[n], shown }
      return [layer.role, { ...whole, shares: sharesOf(whole) }]
    }))
    this.scene = { width: data.width, height: data.height }
    const { truth, first, second } = this.layers
    const isWrong = (layer) => truth && layer?.same ? wrongPixels(truth.mask, layer.mask) : null
    this.wrong = { first: isWrong(first), second: isWrong(second) }
    if (!truth && first && second?.same) this.wrong.differ = wrongPixels(first.mask, second.mask)
    this.controls()
    this.draw()
    this.root.dataset.drawn = (performance.now() - begun).toFixed(1)
    if (this.asked) this.root.dataset.turned = (performance.now() - this.asked).toFixed(1)
    this.asked = 0
    this.root.dataset.position = data.position
  }

  set(name, value) {
    kept[name] = value
    this.controls()
    this.draw()
  }

  // The roles that have a mask, with their names.
  named() {
    return Object.values(this.layers).map((layer) => [layer.role, layer.name])
  }

  controls() {
    const held = document.activeElement === this.root ? null : this.root.getRootNode().activeElement?.dataset.id
    const known = this.named().map(([role]) => role)
    for (const name of ['over', 'left', 'right']) if (!known.includes(kept[name])) kept[name] = known.at(-1)
    const toggle = (name, label, why, off) => make('label', { class: 'box', title: why, 'aria-disabled': off ? 'true' : undefined },
      make('input', { type: 'checkbox', 'data-id': name, checked: kept[name] && !off, disabled: off,
        onchange: (event) => this.set(name, event.target.checked) }), label)
    const choice = (name, label) => make('label', {}, `${label} `, make('select', {
      'data-id': name, onchange: (event) => this.set(name, event.target.value) },
    ...this.named().map(([role, text]) => make('option', { value: role, selected: kept[name] === role }, text))))
    const modes = Object.entries(MODES).map(([mode, text]) => make('button', {
      type: 'button', 'data-id': mode, 'aria-pressed': String(kept.mode === mode), onclick: () => this.set('mode', mode) }, text))
    this.place = make('b', { 'aria-live': 'polite' }, `${this.target ?? this.data.position} of ${this.data.count}`)
    const turn = (by, text, label, end) => make('button', { type: 'button', 'data-id': label, title: label,
      'aria-label': label, disabled: (this.target ?? this.data.position) === end, onclick: () => this.go(by) }, text)
    const shades = make('input', { type: 'range', min: 0, max: 100, value: Math.round(kept.opacity * 100), 'data-id': 'opacity',
      'aria-label': 'How strongly masks cover the picture', oninput: (event) => { kept.opacity = event.target.value / 100; this.draw() } })
    this.bar.replaceChildren(
      make('div', { class: 'row first' },
        make('div', { class: 'group', role: 'group', 'aria-label': 'Layout' }, ...modes),
        make('div', { class: 'group turn' }, turn(-1, '‹', 'Previous picture (left arrow)', 1), this.place,
          turn(1, '›', 'Next picture (right arrow)', this.data.count))))
    this.tools.replaceChildren(
      make('div', { class: 'row' },
        make('label', { class: 'box' }, 'Masks', shades),
        toggle('outline', 'Outlines', 'Only the borders between classes'),
        toggle('wrong', 'Wrong only', this.layers.truth ? 'Only pixels that a net gets wrong' : 'Nobody tells the truth of this picture',
          !this.wrong.first && !this.wrong.second),
        toggle('patterns', 'Patterns', 'Strokes tell the classes apart where colours do not'),
        make('button', { type: 'button', 'data-id': 'hide', title: 'Hold this button or the key H',
          onpointerdown: () => this.hide(true), onpointerup: () => this.hide(false), onpointerleave: () => this.hide(false) }, 'Hold to hide (H)'),
        ...(kept.mode === 'overlay' ? [choice('over', 'Mask')] : []),
        ...(kept.mode === 'swipe' ? [choice('left', 'Left'), choice('right', 'Right')] : []),
        make('button', { type: 'button', 'data-id': 'png', title: 'What you see, as a PNG file', onclick: () => this.save() }, 'Save as PNG')))
    this.chips()
    if (held) this.root.querySelector(`[data-id="${CSS.escape(held)}"]`)?.focus()
  }

  // A row of classes for each list of classes; those that are nowhere in this picture are left out.
  chips() {
    const lists = new Map()
    for (const layer of Object.values(this.layers)) {
      const key = layer.classes.join('|')
      const list = lists.get(key) ?? { ...layer, key, present: new Set(), names: [] }
      for (const [label] of layer.shares) list.present.add(label)
      list.names.push(layer.name)
      lists.set(key, list)
    }
    const scores = this.layers.first?.scores
    this.under.replaceChildren(...[...lists.values()].map((list, n) => {
      const shown = kept.off[list.key]
      const turn = (on) => { shown.fill(on); this.controls(); this.draw() }
      const chip = (label) => {
        const score = n === 0 && scores?.[label] != null ? ` ${Math.round(scores[label] * 100)} %` : ''
        const [r, g, b] = list.palette[label]
        return make('button', { type: 'button', 'data-id': `chip-${n}-${label}`, 'aria-pressed': String(shown[label]),
          title: score ? `${list.classes[label]}: overlap of A${score} in this picture` : list.classes[label],
          onclick: () => { shown[label] = !shown[label]; this.controls(); this.draw() } },
        make('span', { class: 'swatch', style: `background: rgb(${r}, ${g}, ${b})` }), `${list.classes[label]}${score}`)
      }
      const whose = lists.size > 1 ? make('span', {}, `${list.names.join(', ')}:`) : ''
      return make('div', { class: 'row chips', role: 'group', 'aria-label': 'Classes' }, whose,
        make('button', { type: 'button', 'data-id': `all-${n}`, onclick: () => turn(true) }, 'All'),
        make('button', { type: 'button', 'data-id': `none-${n}`, onclick: () => turn(false) }, 'None'),
        ...[...list.present].sort((one, other) => one - other).map(chip))
    }))
  }
}

export default function ({ data, parentElement, setTriggerValue }) {
  const root = parentElement.querySelector('.scene')
  const view = root.view ??= new View(root)
  view.tell = (to) => setTriggerValue('turned', to)
  view.listen()
  view.receive(data)
  return () => { view.close(); delete root.view }
}
