/** Charts as a picture on the user's own machine. */
import { saveFile } from '../parts/save-file.ts'

const HEAD = 28
const MARGIN = 16

/** All charts below `element`, each under its title, as one picture. */
export function savePicture(name: string, element: HTMLElement, colors: { surface: string; text: string }): void {
  const charts = [...element.querySelectorAll('figure')].flatMap((figure) => {
    const canvas = figure.querySelector('canvas')
    return canvas ? [{ canvas, title: figure.getAttribute('aria-label') ?? '' }] : []
  })
  const scale = devicePixelRatio
  const [head, margin] = [HEAD * scale, MARGIN * scale]
  const picture = document.createElement('canvas')
  picture.width = Math.max(...charts.map(({ canvas }) => canvas.width), 1) + 2 * margin
  picture.height = charts.reduce((sum, { canvas }) => sum + canvas.height + head, 2 * margin)
  const context = picture.getContext('2d')
  if (!context) return
  context.fillStyle = colors.surface
  context.fillRect(0, 0, picture.width, picture.height)
  context.fillStyle = colors.text
  context.font = `600 ${14 * scale}px system-ui, sans-serif`
  let top = margin
  for (const { canvas, title } of charts) {
    context.fillText(title, margin, top + head * 0.6)
    context.drawImage(canvas, margin, top + head)
    top += canvas.height + head
  }
  picture.toBlob((blob) => {
    if (blob) saveFile(name, blob)
  })
}
