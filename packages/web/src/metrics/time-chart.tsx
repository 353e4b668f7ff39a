/** One chart over time, drawn by uPlot on a canvas. Dragging over it asks for that time; all charts share one cursor. */
import { useComputedColorScheme } from '@mantine/core'
import { useEffect, useRef, type RefObject } from 'react'
import UPlot, { type AlignedData, type Options } from 'uplot'
import 'uplot/dist/uPlot.min.css'
import { AXIS_COLOR, colorOf, dashOf, LINE_COLOR, type Scheme } from './chart-colors.ts'
import { LOAD_LINE, ZOOM_MS_MIN, type Chart } from './chart-model.ts'
import { figureText, markText } from './figure-text.ts'
import classes from './time-chart.module.css'

const HEIGHT = 190
const AXIS_WIDTH = 82
const BINARY_STEPS = Array.from({ length: 60 }, (_, power) => 2 ** power)
/** A shorter movement is a click. */
const DRAG_PIXELS_MIN = 8

interface Listeners {
  readonly onZoom: (fromMs: number, toMs: number) => void
  /** The step at the cursor; undefined: the cursor is elsewhere. */
  readonly onCursor: (step: number | undefined) => void
}

interface TimeChartProps extends Listeners {
  readonly chart: Chart
  /** How many are compared. */
  readonly subjects: number
  readonly language: string
  /** What it shows, in words. */
  readonly label: string
}

export function TimeChart({ chart, subjects, language, label, onZoom, onCursor }: TimeChartProps) {
  const place = useRef<HTMLDivElement>(null)
  const plot = useRef<UPlot>(undefined)
  const latest = useRef({ chart, listeners: { onZoom, onCursor } })
  const scheme = useComputedColorScheme('light')
  const names = chart.series.map(({ subject, metric }) => `${subject} ${metric}`).join()
  const isLoad = chart.id === 'load'
  // New figures of the same lines need no new plot.
  useEffect(() => {
    latest.current = { chart, listeners: { onZoom, onCursor } }
    plot.current?.setData(dataOf(chart))
  })
  useEffect(() => {
    const element = place.current
    if (!element) return undefined
    const options = optionsOf(latest, { subjects, scheme, language, isLoad, width: element.clientWidth })
    const made = new UPlot(options, dataOf(latest.current.chart), element)
    plot.current = made
    const resized = new ResizeObserver(() => made.setSize({ width: element.clientWidth, height: HEIGHT }))
    resized.observe(element)
    return () => {
      resized.disconnect()
      made.destroy()
      plot.current = undefined
    }
  }, [names, subjects, scheme, language, isLoad])
  return <div ref={place} className={classes.plot} role="img" aria-label={label} />
}

function dataOf({ times, series }: Chart): AlignedData {
  return [times.map((time) => time / 1000), ...series.map(({ figures }) => [...figures])]
}

interface Look {
  readonly subjects: number
  readonly scheme: Scheme
  readonly language: string
  readonly isLoad: boolean
  readonly width: number
}

function optionsOf(
  latest: RefObject<{ readonly chart: Chart; readonly listeners: Listeners }>,
  { subjects, scheme, language, isLoad, width }: Look,
): Options {
  const { chart } = latest.current
  const { text, grid } = AXIS_COLOR[scheme]
  const axis = {
    stroke: text,
    font: '11px Inter, system-ui, sans-serif',
    grid: { stroke: grid },
    ticks: { stroke: grid },
  }
  return {
    width,
    height: HEIGHT,
    legend: { show: false },
    cursor: { y: false, sync: { key: 'metrics' }, drag: { x: true, y: false, setScale: false } },
    scales: {
      // Never less than all of it, so that an idle guest looks idle.
      y: { range: (_plot, _least, most) => [0, Math.max(most * 1.1, isLoad ? LOAD_LINE * 1.5 : leastOf(chart.unit))] },
    },
    axes: [
      {
        ...axis,
        size: 30,
        values: (_plot, marks, _index, _space, apart) => marks.map((at) => markText(at * 1000, apart * 1000, language)),
      },
      {
        ...axis,
        size: AXIS_WIDTH,
        values: (_plot, marks) => marks.map((mark) => figureText(mark, chart.unit, language)),
        // Of bytes a mark stands at 4 GiB, not at 4.66.
        ...(chart.unit.startsWith('bytes') ? { incrs: BINARY_STEPS } : {}),
      },
    ],
    series: [
      {},
      ...chart.series.map((line) => ({
        stroke: colorOf(line, subjects, scheme),
        dash: dashOf(line),
        width: 1.5,
        points: { show: false },
        spanGaps: false,
      })),
    ],
    hooks: {
      setCursor: [({ cursor }) => latest.current.listeners.onCursor(cursor.idx ?? undefined)],
      setSelect: [
        (plot) => {
          const { left, width: dragged } = plot.select
          if (dragged < DRAG_PIXELS_MIN) return
          const [from, to] = [plot.posToVal(left, 'x') * 1000, plot.posToVal(left + dragged, 'x') * 1000]
          plot.setSelect({ left: 0, top: 0, width: 0, height: 0 }, false)
          const middle = (from + to) / 2
          const half = Math.max(to - from, ZOOM_MS_MIN) / 2
          latest.current.listeners.onZoom(middle - half, middle + half)
        },
      ],
      draw: isLoad ? [(plot) => drawLine(plot, LINE_COLOR[scheme])] : [],
    },
  }
}

/** What an axis reaches at least, by unit. */
function leastOf(unit: string): number {
  if (unit === 'bytes' || unit === 'bytes/s') return 1024
  return unit === 'cores' ? 0.1 : 1
}

/** Where it begins to be too much. */
function drawLine(plot: UPlot, color: string): void {
  const { ctx: context, bbox } = plot
  const y = plot.valToPos(LOAD_LINE, 'y', true)
  context.save()
  context.strokeStyle = color
  context.lineWidth = 1.5 * devicePixelRatio
  context.setLineDash([4 * devicePixelRatio, 3 * devicePixelRatio])
  context.beginPath()
  context.moveTo(bbox.left, y)
  context.lineTo(bbox.left + bbox.width, y)
  context.stroke()
  context.restore()
}
