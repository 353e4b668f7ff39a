import assert from 'node:assert/strict'
import { test } from 'node:test'
import { HandshakeGate } from './handshake-gate.ts'

/** Runs tasks that end when they are told to, and tells which are under way. */
function stage() {
  const gate = new HandshakeGate()
  const under = new Set<string>()
  const ends = new Map<string, (error?: Error) => void>()
  const run = (kind: 'handshake' | 'order', name: string) =>
    gate[kind](() => {
      under.add(name)
      return new Promise<string>((resolve, reject) =>
        ends.set(name, (error) => {
          under.delete(name)
          if (error) reject(error)
          else resolve(name)
        }),
      )
    })
  const settle = () => new Promise<void>((resolve) => setImmediate(resolve))
  const end = async (name: string, error?: Error) => {
    ends.get(name)?.(error)
    await settle()
  }
  return { run, end, now: () => [...under].toSorted() }
}

test('handshakes run side by side, and so do orders, but never one beside the other', async () => {
  const { run, end, now } = stage()
  const all = [run('handshake', 'h1'), run('handshake', 'h2'), run('order', 'o1'), run('order', 'o2')]
  assert.deepEqual(now(), ['h1', 'h2'])
  await end('h1')
  assert.deepEqual(now(), ['h2'])
  await end('h2')
  assert.deepEqual(now(), ['o1', 'o2'])
  for (const name of ['o1', 'o2']) await end(name)
  assert.deepEqual(await Promise.all(all), ['h1', 'h2', 'o1', 'o2'])
})

test('who comes later waits for those who came before, of either kind: nobody waits for ever', async () => {
  const { run, end, now } = stage()
  const all = [run('order', 'o1'), run('handshake', 'h1'), run('order', 'o2'), run('handshake', 'h2')]
  assert.deepEqual(now(), ['o1'])
  await end('o1')
  assert.deepEqual(now(), ['h1'])
  await end('h1')
  assert.deepEqual(now(), ['o2'])
  await end('o2')
  assert.deepEqual(now(), ['h2'])
  await end('h2')
  await Promise.all(all)
})

test('a failure goes to its caller, and lets the others go on', async () => {
  const { run, end, now } = stage()
  const failing = run('handshake', 'h1')
  const order = run('order', 'o1')
  void end('h1', new Error('refused'))
  await assert.rejects(failing, /refused/)
  await end('')
  assert.deepEqual(now(), ['o1'])
  await end('o1')
  assert.equal(await order, 'o1')
})
