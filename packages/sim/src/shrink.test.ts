import assert from 'node:assert/strict'
import { test } from 'node:test'
import { failureFolder } from './failure-folder.ts'
import { parseCommands, printCommand } from './fault-commands.ts'
import type { FaultPlan } from './fault-plan.ts'
import { shrink } from './shrink.ts'
import { playPlan } from './world-fuzz.ts'

/** A clock that runs at half its speed defeats self-fencing, which is built for clocks that drift by a percent. */
const COMMANDS = `
@0 drift h2 150
@100 drift h1 -500000
@3000 kill-guest web
@6000 delay-watch h3 500
@9000 cut-out h1
@9500 lose-answer
@16000 kill-agent h2
`

function plan(commands: string): FaultPlan {
  const read = parseCommands(commands)
  assert.ok(read.ok)
  return { world: { seed: 5, guests: { web: ['h1', 'h2'], data: ['h1'] } }, commands: read.value }
}

test('of many commands those are left that break the promise', async () => {
  const small = await shrink(plan(COMMANDS))
  assert.ok(small)
  assert.match(small.violation, /still runs on h1, which has had no contact/)
  const left = small.plan.commands.map(({ verb, args }) => [verb, ...args].join(' '))
  // The last one gives the cut its time: after it everything is healed.
  assert.deepEqual(left, ['drift h1 -500000', 'cut-out h1', 'kill-agent h2'])
})

test('a plan that breaks nothing is left alone', async () => {
  assert.equal(await shrink(plan('@3000 kill-guest web')), undefined)
})

test('the folder of a failure can be played again', async () => {
  const failing = plan(COMMANDS)
  const folder = failureFolder(failing, await playPlan(failing))
  assert.match(folder['README.md'] ?? '', /Broken: .*no contact/)
  assert.deepEqual(JSON.parse(folder['cluster.json'] ?? ''), failing.world)
  assert.equal(folder['commands'], `${failing.commands.map(printCommand).join('\n')}\n`)
  assert.match(folder['log'] ?? '', /\*\*\* cut-out h1[\s\S]*VIOLATION/)
})
