/**
 * How the web interface does with many guests: in Chromium, before the real API on loopback, by scripts in the page. Without
 * a graphics processor each frame is drawn by the same processors that serve and measure.
 */
import { readFileSync } from 'node:fs'
import { loadavg } from 'node:os'
import { join } from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import { Rig } from './api-rig-process.ts'
import { busy } from './bench-api.ts'
import { spread, sum, type Spread } from './bench-lab.ts'
import { TestBrowser } from '../test/support/browser.ts'

interface Measured {
  /** By the clock: frames a second, or ms until the answer is drawn. */
  readonly clock: Spread
  /** Of the page's main thread, ms for a frame or an answer. */
  readonly processorMs: number
}

export interface WebReport {
  /** Of the last minute before anything was begun. */
  readonly loadAverage: number
  readonly guests: number
  readonly firstLoadBytes: number
  /** After the navigation began, ms: the frame and its page are drawn; all guests are in the tree; the last long task ended. */
  readonly shownMs: Spread
  readonly allGuestsMs: Spread
  readonly interactiveMs: Spread
  /** Of the page's main thread, from the navigation until two seconds after all guests were there. */
  readonly loadProcessorMs: Spread
  /** Frames a second, by what is scrolled, while a guest changes ten times a second. */
  readonly scroll: Readonly<Record<'tree' | 'table', Measured>>
  readonly search: Measured
  readonly filter: Measured
  readonly heapMib: number
  readonly processMib: number
  readonly eventMs: Spread
}

const GUESTS = 10_000
const TARGET = {
  firstLoadBytes: 300_000,
  interactiveMs: 1_500,
  framesPerSecond: 50,
  searchMs: 50,
  memoryMib: 250,
  eventMs: 300,
}
const WORDS = ['guest-77', 'guest-123', 'h3 guest-9', 'guest-9999', 'disk']
const MIB = 2 ** 20
const SCROLL_MS = 2_000
/** Interactive is a page that nothing has held up for so long. */
const QUIET_MS = 2_000
const ANSWER_MS_MAX = 60_000

export async function benchWeb({ quick, note }: { quick: boolean; note: (text: string) => void }): Promise<WebReport> {
  const [loadAverage = 0] = loadavg()
  const rounds = quick ? 2 : 5
  const rig = await Rig.start(GUESTS)
  const watching: Watched[] = []
  try {
    const loads: Awaited<ReturnType<typeof load>>[] = []
    for (let round = 0; round < rounds; round++) loads.push(await load(rig))
    note(`interactive after ${loads.map(({ interactiveMs }) => interactiveMs.toFixed(0)).join(', ')} ms`)
    const watched = await watch(rig)
    watching.push(watched)
    const { page } = watched
    await page.goto('/guests')
    await page.getByRole('table').waitFor()
    const eventMs = await events(page, rig, rounds * 2)
    note(`an event is on the screen after ${eventMs.median.toFixed(0)} ms`)
    const scroll = {
      tree: await scrolled(watched, rig, '[role=tree]', rounds),
      table: await scrolled(watched, rig, '[role=table]', rounds),
    }
    note(`frames a second: tree ${scroll.tree.clock.median.toFixed(0)}, table ${scroll.table.clock.median.toFixed(0)}`)
    const filter = await typed(watched, 'main input', rounds)
    await page.keyboard.press('Escape')
    await page.keyboard.press('Control+K')
    await page.getByRole('combobox').waitFor()
    const search = await typed(watched, '[role=combobox]', rounds)
    note(`search answers after ${search.clock.median.toFixed(0)} ms`)
    const memory = await memoryOf(watched)
    const of = (part: 'shownMs' | 'allGuestsMs' | 'interactiveMs' | 'usedMs') => spread(loads.map((one) => one[part]))
    return {
      ...{ loadAverage, guests: GUESTS, firstLoadBytes: loads[0]!.bytes },
      ...{
        shownMs: of('shownMs'),
        allGuestsMs: of('allGuestsMs'),
        interactiveMs: of('interactiveMs'),
        loadProcessorMs: of('usedMs'),
      },
      ...{ scroll, search, filter, ...memory, eventMs },
    }
  } finally {
    for (const { browser } of watching) await browser.close()
    await rig.stop()
  }
}

type Page = TestBrowser['page']
type DebugSession = Awaited<ReturnType<ReturnType<Page['context']>['newCDPSession']>>

interface Watched {
  readonly browser: TestBrowser
  readonly page: Page
  readonly debug: DebugSession
}

/** A browser that has kept nothing. */
async function watch(rig: Rig): Promise<Watched> {
  const browser = await TestBrowser.open(rig.url, { token: rig.token })
  const { page } = browser
  page.setDefaultTimeout(ANSWER_MS_MAX)
  await page.addInitScript({ path: join(import.meta.dirname, 'bench-web-page.js') })
  const debug = await page.context().newCDPSession(page)
  await debug.send('Network.enable')
  await debug.send('Performance.enable', { timeDomain: 'threadTicks' })
  return { browser, page, debug }
}

async function inPage<Answer>(
  page: Page,
  call: 'whenThereMs' | 'changeSeen' | 'framesPerSecond' | 'answeredMs' | 'lastLongTaskMs',
  ...values: (string | number)[]
) {
  const answered = page.evaluate<Answer>(
    `steadBench.${call}(${values.map((value) => JSON.stringify(value)).join(', ')})`,
  )
  return Promise.race([
    answered,
    sleep(ANSWER_MS_MAX, undefined, { ref: false }).then(() =>
      Promise.reject(new Error(`the page did not come to ${call}`)),
    ),
  ])
}

/** What the page's main thread has used of a processor, ms: as long on a busy machine as on an idle one. */
async function processorMs(debug: DebugSession): Promise<number> {
  const { metrics } = await debug.send('Performance.getMetrics')
  return (metrics.find(({ name }) => name === 'TaskDuration')?.value ?? Number.NaN) * 1_000
}

/** The overview, opened for the first time. */
async function load(rig: Rig) {
  const { browser, page, debug } = await watch(rig)
  const addresses = new Map<string, string>()
  let bytes = 0
  debug.on('Network.requestWillBeSent', ({ requestId, request }) => void addresses.set(requestId, request.url))
  debug.on('Network.loadingFinished', ({ requestId, encodedDataLength }) => {
    if (!addresses.get(requestId)?.includes('/v1/')) bytes += encodedDataLength
  })
  await page.goto('/', { waitUntil: 'commit' })
  const shownMs = await inPage<number>(page, 'whenThereMs', 'main h1')
  const allGuestsMs = await inPage<number>(page, 'whenThereMs', '[role=tree] [aria-level="2"]')
  await sleep(QUIET_MS)
  const lastLongTaskMs = await inPage<number>(page, 'lastLongTaskMs')
  const usedMs = await processorMs(debug)
  await browser.close()
  return { bytes, shownMs, allGuestsMs, interactiveMs: Math.max(shownMs, lastLongTaskMs), usedMs }
}

/** From the change in the store until the frame that shows it, ms. */
async function events(page: Page, rig: Rig, count: number): Promise<Spread> {
  const delays: number[] = []
  let before = ''
  for (let round = 0; round < count; round++) {
    const seen = inPage<{ reason: string; delayMs: number }>(page, 'changeSeen', before)
    await rig.order({ do: 'change', guest: 0 })
    const { reason, delayMs } = await seen
    before = reason
    delays.push(delayMs)
    await sleep(100)
  }
  return spread(delays)
}

/** While a guest changes ten times a second. */
async function scrolled({ page, debug }: Watched, rig: Rig, selector: string, rounds: number): Promise<Measured> {
  let isOver = false
  const changing = (async () => {
    for (let guest = 100; !isOver; guest++) {
      await rig.order({ do: 'change', guest })
      await sleep(100)
    }
  })()
  const usedBefore = await processorMs(debug)
  const rates: number[] = []
  for (let round = 0; round < rounds; round++)
    rates.push(await inPage<number>(page, 'framesPerSecond', selector, SCROLL_MS))
  const used = (await processorMs(debug)) - usedBefore
  isOver = true
  await changing
  return { clock: spread(rates), processorMs: used / ((sum(rates) * SCROLL_MS) / 1_000) }
}

async function typed({ page, debug }: Watched, selector: string, rounds: number): Promise<Measured> {
  await page.locator(selector).first().waitFor()
  const times: number[] = []
  const usedBefore = await processorMs(debug)
  for (let round = 0; round < rounds; round++)
    for (const words of WORDS) times.push(await inPage<number>(page, 'answeredMs', selector, words))
  return { clock: spread(times), processorMs: ((await processorMs(debug)) - usedBefore) / times.length }
}

/** What the page's script holds, and what its process has of its own, after everything above. */
async function memoryOf({ page, debug }: Watched): Promise<{ heapMib: number; processMib: number }> {
  await debug.send('HeapProfiler.collectGarbage')
  const { usedSize } = await debug.send('Runtime.getHeapUsage')
  const whole = await page.context().browser()!.newBrowserCDPSession()
  const { processInfo } = await whole.send('SystemInfo.getProcessInfo')
  const own = processInfo.filter(({ type }) => type === 'renderer').map(({ id }) => privateBytes(id))
  return { heapMib: usedSize / MIB, processMib: Math.max(...own) / MIB }
}

function privateBytes(pid: number): number {
  const rollup = readFileSync(`/proc/${pid}/smaps_rollup`, 'utf8')
  return [...rollup.matchAll(/^Private_\w+:\s+(\d+) kB$/gm)].reduce((sum, [, kib]) => sum + Number(kib) * 1_024, 0)
}

export function webSection(report: WebReport): string {
  const { scroll, search, filter } = report
  const row = (what: string, { min, median, max }: Spread, processor?: number) =>
    `| ${what} | ${min.toFixed(0)} | ${median.toFixed(0)} | ${max.toFixed(0)} | ${processor?.toFixed(1) ?? ''} |`
  const target = (what: string, isMet: boolean, wanted: string, measured: string) =>
    `- Target, ${what}: ${wanted}; measured ${measured}: ${isMet ? 'met' : '**missed**'}.`
  const most = (what: string, limit: number, measured: number, unit: string) =>
    target(what, measured <= limit, `at most ${limit} ${unit}`, `${measured.toFixed(0)} ${unit}`)
  const least = (what: string, { clock }: Measured) =>
    target(what, clock.median >= TARGET.framesPerSecond, `at least ${TARGET.framesPerSecond}`, clock.median.toFixed(0))
  return [
    '## Web interface',
    '',
    `${report.guests} guests with a disk each on 10 hosts, served by the agent's server and back end with a store in memory, in Chromium without a graphics processor on the same machine. While it is scrolled, a guest changes ten times a second. The page's script holds ${report.heapMib.toFixed(0)} MiB in the end. Processor time is that of the page's main thread.`,
    '',
    ...busy(report.loadAverage),
    '| | min | median | max | processor ms |',
    '|---|---|---|---|---|',
    row('the page is drawn, ms after the navigation', report.shownMs),
    row('all guests are in the tree, ms', report.allGuestsMs),
    row('nothing holds it up any more, ms', report.interactiveMs, report.loadProcessorMs.median),
    row('frames a second while the tree is scrolled', scroll.tree.clock, scroll.tree.processorMs),
    row('frames a second while the table is scrolled', scroll.table.clock, scroll.table.processorMs),
    row('search: a letter to the drawn answer, ms', search.clock, search.processorMs),
    row("the table's filter, the same, ms", filter.clock, filter.processorMs),
    row('a change in the store to the frame that shows it, ms', report.eventMs),
    '',
    most('first load, packed', TARGET.firstLoadBytes, report.firstLoadBytes, 'bytes'),
    most('interactive, median', TARGET.interactiveMs, report.interactiveMs.median, 'ms'),
    least('frames a second in the tree, median', scroll.tree),
    least('frames a second in the table, median', scroll.table),
    most('search, median', TARGET.searchMs, search.clock.median, 'ms'),
    most("memory of the page's process", TARGET.memoryMib, report.processMib, 'MiB'),
    most('an event to the screen, median', TARGET.eventMs, report.eventMs.median, 'ms'),
  ].join('\n')
}
