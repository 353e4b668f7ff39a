import assert from 'node:assert/strict'
import { mkdirSync, mkdtempSync, readFileSync, rmSync, symlinkSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { dirname, join } from 'node:path'
import { test, type TestContext } from 'node:test'
import { classesOf, readDevices } from './sysfs-devices.ts'

const FIXTURES = join(import.meta.dirname, 'fixtures')

/** Unpacks a fixture; see its README. */
function treeOf(context: TestContext, name: string): string {
  const root = mkdtempSync(join(tmpdir(), 'stead-sysfs-'))
  context.after(() => rmSync(root, { recursive: true, force: true }))
  for (const line of readFileSync(join(FIXTURES, name), 'utf8').split('\n')) {
    const [, path = '', sign, value = ''] = /^(\S+) (=|->) ?(.*)$/.exec(line) ?? []
    if (!path) continue
    mkdirSync(dirname(join(root, path)), { recursive: true })
    if (sign === '->') symlinkSync(value, join(root, path))
    else writeFileSync(join(root, path), value.replaceAll('\\n', '\n'))
  }
  return root
}

const countsOf = (root: string, migList = '') =>
  Object.fromEntries(classesOf(readDevices(root, migList)).map(({ name, count }) => [name, count]))

test("NVIDIA's vGPU without mdev: each virtual function is what it can become, or what it is", (context) => {
  const root = treeOf(context, 'nvidia-vgpu-vfio.tree')
  assert.deepEqual(countsOf(root), { 'gpu/nvidia-h200x-1-18c': 3, 'gpu/nvidia-h200x-141c': 1 })
  const held = readDevices(root, '').find(({ used }) => used > 0)
  assert.deepEqual([held?.address, held?.class], ['0000:3b:00.6', 'gpu/nvidia-h200x-1-18c'])
})

test('mediated devices are counted with those that exist', (context) => {
  assert.deepEqual(countsOf(treeOf(context, 'nvidia-mdev.tree')), { 'gpu/nvidia-t4-1q': 16, 'gpu/nvidia-t4-2q': 0 })
})

test('only what was taken from its own driver is passed through', (context) => {
  assert.deepEqual(countsOf(treeOf(context, 'sriov-and-passthrough.tree')), {
    'gpu/10de-26b9': 1,
    'render/i915': 1,
    'vf/8086-154c': 2,
  })
})

test('MIG slices are told by nvidia-smi, whatever the width of its columns', (context) => {
  const list = readFileSync(join(FIXTURES, 'nvidia-smi-L.txt'), 'utf8')
  const root = treeOf(context, 'nvidia-mdev.tree')
  assert.deepEqual(
    classesOf(readDevices(root, list)).filter(({ kind }) => kind === 'mig'),
    [
      { name: 'mig/1g.5gb', kind: 'mig', count: 2 },
      { name: 'mig/3g.20gb', kind: 'mig', count: 1 },
    ],
  )
})

test('a host without any of this has none', () => {
  assert.deepEqual(readDevices('/nonexistent', ''), [])
})
