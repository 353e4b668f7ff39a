import assert from 'node:assert/strict'
import { test } from 'node:test'
import { CONTAINER_PROCESSES, describeStep, faultCommand, faultSchedule, healCommand } from './fault-schedule.ts'

const HOSTS = ['h1', 'h2', 'h3']

test('the same seed gives the same schedule, another seed another one', () => {
  assert.deepEqual(faultSchedule(42, HOSTS, 50), faultSchedule(42, HOSTS, 50))
  assert.notDeepEqual(faultSchedule(42, HOSTS, 50), faultSchedule(43, HOSTS, 50))
})

test('a seed means the same for ever: a failure reported with it can be repeated', () => {
  const [first, second] = faultSchedule(1, HOSTS, 2)
  assert(first && second)
  assert.equal(describeStep(first), ' 1. power-off h2, healed once at rest')
  assert.equal(describeStep(second), ' 2. kill h2 etcd, healed once at rest, the next comes in a hurry')
})

test('two faults at once are the exception and hit different hosts', () => {
  const steps = faultSchedule(7, HOSTS, 1_000)
  const pairs = steps.filter((step) => step.faults.length === 2)
  assert(pairs.length > 100 && pairs.length < 250, `${pairs.length} pairs`)
  for (const { faults } of pairs) {
    assert.equal(new Set(faults.map((fault) => fault.host)).size, 2)
    for (const fault of faults) if (fault.kind === 'cut-between') assert.notEqual(fault.host, fault.other)
  }
})

test('every kind of fault comes, and each that lasts can be healed', () => {
  const faults = faultSchedule(7, HOSTS, 1_000, CONTAINER_PROCESSES).flatMap((step) => step.faults)
  const commands = new Set(faults.map((fault) => faultCommand(fault).join(' ').replace(/h\d/g, 'HOST')))
  for (const process of ['agent', 'qsd', 'etcd', 'guardian', 'qemu', 'front', 'stead-disk', 'lxc'])
    assert(commands.has(`kill HOST ${process}`))
  for (const cut of [
    'cut HOST',
    'cut HOST lan',
    'cut HOST san',
    'cut HOST ran',
    'cut-between HOST HOST',
    'power-off HOST',
    'freeze HOST',
  ])
    assert(commands.has(cut), cut)
  for (const fault of faults) assert.equal(healCommand(fault) === undefined, fault.kind === 'kill')
})
