import assert from 'node:assert/strict'
import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { test, type TestContext } from 'node:test'
import { readStat } from '../process/detached.ts'
import { AgentWatch } from './agent-watch.ts'
import { lineLog } from './line-log.ts'

async function agentOf(context: TestContext) {
  const child = spawn('sleep', ['60'])
  context.after(() => child.kill('SIGKILL'))
  await once(child, 'spawn')
  const pid = child.pid ?? 0
  return { child, agent: { pid, startTime: readStat(pid)?.startTime ?? '' } }
}

/** Beats every 200 ms of a time that the test makes up. */
function beats(watch: AgentWatch, from: number, to: number): void {
  for (let now = from; now <= to; now += 200) watch.look(now)
}

test('an agent that says nothing for ten seconds is ended', async (context) => {
  const { child, agent } = await agentOf(context)
  const watch = new AgentWatch(lineLog(() => {}))
  watch.look(0)
  watch.alive(agent, 0)
  beats(watch, 200, 10_000)
  assert.equal(child.signalCode, null)
  const ended = once(child, 'exit')
  beats(watch, 10_200, 10_400)
  assert.equal((await ended)[1], 'SIGKILL')
})

test('one that speaks is not, nor one that stood still together with the guardian', async (context) => {
  const { agent } = await agentOf(context)
  const watch = new AgentWatch(lineLog(() => {}))
  watch.look(0)
  for (let now = 0; now < 60_000; now += 2_000) {
    watch.alive(agent, now)
    beats(watch, now, now + 1_800)
  }
  watch.look(500_000)
  beats(watch, 500_200, 509_000)
  assert.notEqual(readStat(agent.pid), undefined)
})

test('another process with the same pid is left alone', async (context) => {
  const { agent } = await agentOf(context)
  const watch = new AgentWatch(lineLog(() => {}))
  watch.look(0)
  watch.alive({ ...agent, startTime: '1' }, 0)
  beats(watch, 200, 20_000)
  assert.notEqual(readStat(agent.pid), undefined)
})
