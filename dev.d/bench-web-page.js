// What `bench-web.ts` runs in the page, before the page's own scripts.
const longTaskEnds = [0]
new PerformanceObserver((list) => {
  for (const { startTime, duration } of list.getEntries()) longTaskEnds.push(startTime + duration)
}).observe({ type: 'longtask', buffered: true })

/** When a frame was begun in which `found` gives something, and what it gave. */
function whenSeen(found) {
  return new Promise((resolve) => {
    const look = () => {
      const what = found()
      if (what) resolve({ what, atMs: performance.now() })
      else requestAnimationFrame(look)
    }
    look()
  })
}

globalThis.steadBench = {
  lastLongTaskMs: () => Math.max(...longTaskEnds),

  async whenThereMs(selector) {
    return (await whenSeen(() => document.querySelector(selector) !== null)).atMs
  },

  /** Of the table's first row, whose guest says as its reason when it was changed, by the clock. */
  async changeSeen(before) {
    const state = '[role=table] [aria-rowindex="2"] span[title]'
    const { what, atMs } = await whenSeen(() => {
      const reason = document.querySelector(state)?.title
      return reason !== before && reason
    })
    return { reason: what, delayMs: performance.timeOrigin + atMs - Number(what) }
  },

  /** Frames a second while it is scrolled by a third of what is seen each frame. */
  framesPerSecond(selector, forMs) {
    const list = document.querySelector(selector)
    const startMs = performance.now()
    let frames = -1
    return new Promise((resolve) => {
      const scroll = () => {
        frames++
        const passedMs = performance.now() - startMs
        if (passedMs >= forMs) return resolve((frames * 1_000) / passedMs)
        const isAtEnd = list.scrollTop + list.clientHeight >= list.scrollHeight - 1
        list.scrollTop = isAtEnd ? 0 : list.scrollTop + list.clientHeight / 3
        requestAnimationFrame(scroll)
      }
      requestAnimationFrame(scroll)
    })
  },

  /** From the letter that is typed last until the frame with its answer is drawn, ms. */
  async answeredMs(selector, text) {
    const field = document.querySelector(selector)
    const value = Object.getOwnPropertyDescriptor(HTMLInputElement.prototype, 'value')
    const startMs = performance.now()
    value.set.call(field, text)
    field.dispatchEvent(new Event('input', { bubbles: true }))
    // The first frame draws the answer; the second one begins when it has been drawn.
    await new Promise((resolve) => requestAnimationFrame(() => requestAnimationFrame(resolve)))
    return performance.now() - startMs
  },
}
