/** What was foreseen, for people. */
import type { ForesightView } from '@stead/api/foresight-view.ts'
import { formatTable } from './output.ts'

export function foresightText(foresight: ForesightView): string {
  const { supposition, summary, guests, data, breaches, timeline, figures } = foresight
  const parts = [`If ${supposition}: ${summary}.\n`]
  if (guests.length > 0)
    parts.push(
      formatTable(guests, [
        { title: 'GUEST', of: (guest) => guest.name },
        { title: 'FROM', of: (guest) => guest.from },
        { title: 'TO', of: (guest) => guest.to },
        { title: 'DOWN', of: (guest) => (guest.downMs === null ? 'stays down' : seconds(guest.downMs)) },
        { title: 'WHY', of: (guest) => guest.why },
      ]),
    )
  if (data.length > 0) parts.push(`Data at risk:\n${data.map(({ text }) => `  - ${text}\n`).join('')}`)
  if (breaches.length > 0)
    parts.push(`And after that, one more loss:\n${breaches.map(({ text }) => `  - ${text}\n`).join('')}`)
  if (timeline.length > 1)
    parts.push(`Timeline:\n${timeline.map(({ atMs, text }) => `  ${seconds(atMs).padStart(8)}  ${text}\n`).join('')}`)
  const measured = figures.samples.start > 0 ? `median of ${figures.samples.start} starts here` : 'assumed'
  parts.push(
    `Times: a loss is recorded after ${seconds(figures.lossMs)}; a start takes ${seconds(figures.startMs)} (${measured}), ` +
      `then the guest boots.\n`,
  )
  return parts.join('\n')
}

export function seconds(ms: number): string {
  return `${(ms / 1000).toFixed(1)} s`
}
