/** How fast the API answers: lists of many guests, small requests, and those who follow. */
import { availableParallelism, loadavg } from 'node:os'
import { setTimeout as sleep } from 'node:timers/promises'
import { parseServerSentEvents } from '@stead/api/server-sent-events.ts'
import type { LiveBatch } from '@stead/api/endpoints/live-views.ts'
import { Rig } from './api-rig-process.ts'
import { spread, type Spread } from './bench-lab.ts'

export interface ApiReport {
  /** Of the last minute before anything was begun. */
  readonly loadAverage: number
  /** By the number of guests: bytes of the answer, ms of the server's processor for one, ms until the client has it. */
  readonly lists: readonly {
    readonly guests: number
    readonly bytes: number
    readonly processorMs: number
    readonly wall: Spread
  }[]
  readonly changedListProcessorMs: number
  /** Of 10,000 guests: ms of the server's processor for one answer. */
  readonly parts: readonly { readonly query: string; readonly bytes: number; readonly processorMs: number }[]
  readonly requestsPerProcessorSecond: number
  readonly permissionMicroseconds: number
  readonly followers: {
    readonly count: number
    readonly changes: number
    readonly p50Ms: number
    readonly p99Ms: number
    readonly processorMs: number
  }
}

const TARGET = { list1000Ms: 20, list10000Ms: 15, requestsPerSecond: 1_000, permissionMicroseconds: 5, followMs: 150 }

const PARTS = ['limit=100', 'limit=100&fields=name,state', 'filter=name~1234', 'fields=name,state']

export async function benchApi({ quick, note }: { quick: boolean; note: (text: string) => void }): Promise<ApiReport> {
  const rounds = quick ? 10 : 50
  const [loadAverage = 0] = loadavg()
  const lists: ApiReport['lists'][number][] = []
  const parts: ApiReport['parts'][number][] = []
  let changedListProcessorMs = 0
  for (const guests of [1_000, 10_000]) {
    const rig = await Rig.start(guests)
    try {
      for (let round = 0; round < 5; round++) await rig.get('/v1/guests')
      await rig.used()
      const wall: number[] = []
      let bytes = 0
      for (let round = 0; round < rounds; round++) {
        const start = performance.now()
        bytes = await rig.get('/v1/guests')
        wall.push(performance.now() - start)
      }
      lists.push({ guests, bytes, processorMs: (await rig.used()) / rounds, wall: spread(wall) })
      note(`list of ${guests}: ${lists.at(-1)!.processorMs.toFixed(1)} ms of the server's processor`)
      if (guests !== 10_000) continue
      for (let round = 0; round < rounds; round++) {
        await rig.order({ do: 'change', guest: round })
        await rig.get('/v1/guests')
      }
      changedListProcessorMs = (await rig.used()) / rounds
      for (const query of PARTS) {
        let size = 0
        for (let round = 0; round < rounds; round++) size = await rig.get(`/v1/guests?${query}`)
        parts.push({ query, bytes: size, processorMs: (await rig.used()) / rounds })
      }
    } finally {
      await rig.stop()
    }
  }
  const rig = await Rig.start(1_000)
  try {
    const requests = quick ? 2_000 : 10_000
    const ask = async (count: number) => {
      for (let number = 0; number < count; number++) await rig.get(`/v1/hosts/h${1 + (number % 10)}`)
    }
    await ask(500)
    await rig.used()
    await Promise.all([1, 2, 3, 4].map(() => ask(requests / 4)))
    const requestsPerProcessorSecond = requests / ((await rig.used()) / 1_000)
    note(`${requestsPerProcessorSecond.toFixed(0)} small requests a second of processor time`)
    const decided = await rig.order({ do: 'decide', times: 200_000 })
    const permissionMicroseconds = 'nanoseconds' in decided ? decided.nanoseconds / 1_000 : Number.NaN
    const followers = await follow(rig, quick ? 100 : 500, quick ? 10 : 40)
    return {
      loadAverage,
      lists,
      changedListProcessorMs,
      parts,
      requestsPerProcessorSecond,
      permissionMicroseconds,
      followers,
    }
  } finally {
    await rig.stop()
  }
}

/** All of them are here, in one process: what they need of the processor is in the times. */
async function follow(rig: Rig, count: number, changes: number): Promise<ApiReport['followers']> {
  const delays: number[] = []
  let complete = 0
  const responses = await Promise.all(
    Array.from({ length: count }, () => rig.open('/v1/views?kinds=guest&fields=guest.name,guest.reason&follow=true')),
  )
  for (const response of responses)
    void (async () => {
      for await (const event of parseServerSentEvents(response)) {
        const arrivedMs = performance.timeOrigin + performance.now()
        const batch = JSON.parse(event.data) as LiveBatch
        if (batch.reset || complete < count) complete += batch.complete ? 1 : 0
        else
          for (const { view } of batch.changes)
            if (view && 'reason' in view && view.reason) delays.push(arrivedMs - Number(view.reason))
      }
    })().catch(() => undefined)
  for (const deadline = performance.now() + 60_000; complete < count; await sleep(50))
    if (performance.now() > deadline) throw new Error(`${complete} of ${count} followers have begun`)
  await rig.used()
  for (let change = 0; change < changes; change++) {
    await rig.order({ do: 'change', guest: change })
    await sleep(250)
  }
  const processorMs = (await rig.used()) / changes
  for (const response of responses) response.destroy()
  if (delays.length !== count * changes) throw new Error(`${delays.length} of ${count * changes} changes arrived`)
  delays.sort((a, b) => a - b)
  const at = (part: number) => delays[Math.floor(part * (delays.length - 1))]!
  return { count, changes, p50Ms: at(0.5), p99Ms: at(0.99), processorMs }
}

export function busy(loadAverage: number): string[] {
  if (loadAverage < availableParallelism()) return []
  const text = `its load average was ${loadAverage.toFixed(1)} before anything was begun, so times by the clock are long; processor times are not.`
  return [`**The machine was busy**: ${text}`, '']
}

export function apiSection(report: ApiReport): string {
  const { lists, followers } = report
  const word = (isMet: boolean) => (isMet ? 'met' : '**missed**')
  const [small, large] = [lists[0]!, lists[1]!]
  return [
    '## API',
    '',
    "The agent's back end, guard and server over loopback without TLS, with a store in memory; asked with an API token of an administrator among 20 users and 1,020 permissions. Processor time is the server's alone.",
    '',
    ...busy(report.loadAverage),
    '| list of guests with full details | bytes | processor ms | client has it: min | median | max ms |',
    '|---|---|---|---|---|---|',
    ...lists.map(
      ({ guests, bytes, processorMs, wall }) =>
        `| ${guests} | ${bytes} | ${processorMs.toFixed(1)} | ${wall.min.toFixed(1)} | ${wall.median.toFixed(1)} | ${wall.max.toFixed(1)} |`,
    ),
    '',
    `With one guest changed before each: ${report.changedListProcessorMs.toFixed(1)} ms of processor time for 10,000.`,
    `Parts of the list of 10,000, processor ms: ${report.parts.map(({ query, bytes, processorMs }) => `\`?${query}\` ${processorMs.toFixed(1)} (${bytes} bytes)`).join(', ')}.`,
    `${followers.count} clients follow all guests' names and reasons; ${followers.changes} changes, told in median after ${followers.p50Ms.toFixed(0)} ms (25 of them are waited for more), each for ${followers.processorMs.toFixed(0)} ms of processor time.`,
    '',
    `- Target, 1,000 guests: at most ${TARGET.list1000Ms} ms; measured ${small.processorMs.toFixed(1)} ms: ${word(small.processorMs <= TARGET.list1000Ms)}.`,
    `- Target, 10,000 guests: at most ${TARGET.list10000Ms} ms; measured ${large.processorMs.toFixed(1)} ms: ${word(large.processorMs <= TARGET.list10000Ms)}.`,
    `- Target, small requests on one core: at least ${TARGET.requestsPerSecond} a second; measured ${report.requestsPerProcessorSecond.toFixed(0)}: ${word(report.requestsPerProcessorSecond >= TARGET.requestsPerSecond)}.`,
    `- Target, a permission check: at most ${TARGET.permissionMicroseconds} µs; measured ${report.permissionMicroseconds.toFixed(2)} µs: ${word(report.permissionMicroseconds <= TARGET.permissionMicroseconds)}.`,
    `- Target, a change at ${followers.count} followers, 99th percentile: at most ${TARGET.followMs} ms; measured ${followers.p99Ms.toFixed(0)} ms: ${word(followers.p99Ms <= TARGET.followMs)}.`,
  ].join('\n')
}
