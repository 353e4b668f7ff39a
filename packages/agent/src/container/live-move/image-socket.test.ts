import assert from 'node:assert/strict'
import { mkdirSync, mkdtempSync, readFileSync, readdirSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterEach, beforeEach, suite, test } from 'node:test'
import type { Result } from '@stead/core/result.ts'
import { connectForImages, listenForImages, type ImageSocket } from './image-socket.ts'

const KEY = 'ab'.repeat(32)
const BOUND_MS = 5_000

suite('the connection of a container that moves', () => {
  let folder: string
  let [source, destination] = ['', '']
  const open: { close(): void }[] = []

  beforeEach(() => {
    folder = mkdtempSync(join(tmpdir(), 'stead-images-'))
    ;[source, destination] = [join(folder, 'from'), join(folder, 'to')]
    for (const each of [source, destination]) mkdirSync(each)
  })
  afterEach(() => {
    for (const each of open.splice(0)) each.close()
    rmSync(folder, { recursive: true })
  })

  async function pair(): Promise<{ readonly from: ImageSocket; readonly to: ImageSocket }> {
    const listener = must(await listenForImages('127.0.0.1', KEY))
    const from = must(await connectForImages({ address: '127.0.0.1', port: listener.port }, KEY))
    const to = await listener.arrived
    open.push(listener, from, to)
    return { from, to }
  }

  test('carries a folder and the words around it', async () => {
    const { from, to } = await pair()
    const pages = Buffer.alloc(3 << 20, 7)
    writeFileSync(join(source, 'pages-1.img'), pages)
    writeFileSync(join(source, 'empty.img'), '')
    to.storeIn(destination)
    to.tell({ kind: 'ready' })
    must(await from.next('ready', BOUND_MS))
    assert.equal(must(await from.sendFolder(source)), pages.length)
    must(await to.next('all', BOUND_MS))
    assert.deepEqual(readdirSync(destination).toSorted(), ['empty.img', 'pages-1.img'])
    assert(readFileSync(join(destination, 'pages-1.img')).equals(pages))
    to.tell({ kind: 'failed', reason: 'no room' })
    const failed = await from.next('running', BOUND_MS)
    assert(!failed.ok && failed.error.message === 'no room')
  })

  test('is nobody’s who has another key, and stays open for who has it', async () => {
    const listener = must(await listenForImages('127.0.0.1', KEY))
    open.push(listener)
    const at = { address: '127.0.0.1', port: listener.port }
    const stranger = await connectForImages(at, 'cd'.repeat(32))
    assert(!stranger.ok && stranger.error.code === 'host_unreachable')
    open.push(must(await connectForImages(at, KEY)), await listener.arrived)
  })

  for (const name of ['../escaped', '/tmp/escaped', '.hidden', 'a/b', ''])
    test(`a file called ${JSON.stringify(name)} is the end of it`, async () => {
      const { from, to } = await pair()
      to.storeIn(destination)
      from.tell({ kind: 'file', name, sizeBytes: 1 })
      const heard = await to.next('all', BOUND_MS)
      assert(!heard.ok && /not wanted/.test(heard.error.message))
      assert.deepEqual(readdirSync(folder).toSorted(), ['from', 'to'])
    })

  test('a file that comes before anybody waits for one, or over one that is there, is the end of it', async () => {
    const early = await pair()
    early.from.tell({ kind: 'file', name: 'a', sizeBytes: 0 })
    assert(!(await early.to.next('all', BOUND_MS)).ok)
    const again = await pair()
    again.to.storeIn(destination)
    writeFileSync(join(destination, 'a'), 'mine')
    again.from.tell({ kind: 'file', name: 'a', sizeBytes: 0 })
    assert(!(await again.to.next('all', BOUND_MS)).ok)
    assert.equal(readFileSync(join(destination, 'a'), 'utf8'), 'mine')
  })

  test('who waits is told when the other end is gone, and when nothing comes', async () => {
    const { from, to } = await pair()
    const late = await to.next('go', 50)
    assert(!late.ok && late.error.code === 'timeout')
    from.close()
    const over = await to.next('go', BOUND_MS)
    assert(!over.ok && over.error.code === 'host_unreachable')
    assert(!(await from.sendFolder(source)).ok)
  })
})

function must<T>(result: Result<T>): T {
  assert.ok(result.ok, result.ok ? '' : result.error.message)
  return result.value
}
