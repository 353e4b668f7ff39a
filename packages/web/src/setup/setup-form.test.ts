import assert from 'node:assert/strict'
import { test } from 'node:test'
import { setupAnswersSchema, type SetupPort, type SetupView } from '@stead/api/endpoints/set-up.ts'
import {
  answersOf,
  complaintsAbout,
  portFindings,
  portsToCome,
  proposedBond,
  proposedForm,
  purposeOf,
  stepsOf,
  type SetupForm,
} from './setup-form.ts'

const GIB = 2 ** 30
const port = (name: string, address: string, more: Partial<SetupPort> = {}): SetupPort => ({
  ...{ name, kind: 'ethernet', up: true, speedMbits: 10_000, mtu: 1500, mac: '', members: [] },
  ...{ addresses: address === '' ? [] : [`${address}/24`], ...more },
})
const fileSystem = (path: string, free: number) => ({
  ...{ path, device: '/dev/sda1', type: 'ext4', sizeBytes: 2 * free * GIB, freeBytes: free * GIB },
})
const VIEW: SetupView = {
  ...{ host: 'h1', cpuCount: 4, memoryBytes: 8 * GIB, disks: [], work: null },
  ports: [port('eno1', '10.0.0.1', { up: false }), port('eno2', '10.0.1.1'), port('eno3', '')],
  fileSystems: [fileSystem('/', 20), fileSystem('/srv', 1000)],
}
const WHOLE: SetupForm = { ...proposedForm(VIEW), cluster: 'demo' }

test('what is proposed is of what the host has: an address with a link, the file system with the most room', () => {
  const form = proposedForm(VIEW)
  assert.deepEqual(form.addresses, { lan: '10.0.1.1', san: '', ran: '' })
  assert.deepEqual(form.pools, [{ name: 'default', path: '/srv/stead', sizeGib: 900 }])
  assert.deepEqual(complaintsAbout(form), { cluster: complaintsAbout(form).cluster })
  assert.match(complaintsAbout(form).cluster ?? '', /cluster/)
})

test('a pair invites one more host and a witness; a single host invites nobody; who joins brings a token alone', () => {
  const pair = setupAnswersSchema.parse(answersOf(WHOLE))
  assert.ok(pair.kind === 'init')
  assert.deepEqual([pair.invite, pair.administrator, pair.clusterAddress], [['compute', 'witness'], 'admin', undefined])
  assert.deepEqual(pair.addresses, { lan: '10.0.1.1' })
  assert.deepEqual(pair.pools, [{ name: 'default', path: '/srv/stead', capacityBytes: 900 * GIB }])
  const single = setupAnswersSchema.parse(answersOf({ ...WHOLE, scenario: 'single', administrator: '' }))
  assert.ok(single.kind === 'init')
  assert.deepEqual([single.invite, single.administrator], [[], undefined])
  const join = { ...WHOLE, scenario: 'join' as const, token: ' stead-join-x ' }
  assert.deepEqual(answersOf(join), {
    ...{ kind: 'join', host: 'h1', addresses: { lan: '10.0.1.1' }, pools: pair.pools, token: 'stead-join-x' },
  })
  assert.equal(stepsOf(join).includes('cluster'), false)
})

const tokenOf = (content: unknown) => `stead-join-${Buffer.from(JSON.stringify(content)).toString('base64url')}`

test('a token says what it makes of a host: a witness is asked for no disks, and for nobody who would run guests', () => {
  const token = ` ${tokenOf({ cluster: 'd\u00e9mo', role: 'witness', addresses: ['10.0.0.1'] })}\n`
  assert.deepEqual(purposeOf(token), { cluster: 'd\u00e9mo', role: 'witness' })
  const witness = { ...WHOLE, scenario: 'join' as const, token, guestUser: '990:990' }
  assert.deepEqual(stepsOf(witness), ['what', 'networks', 'summary'])
  const answers = setupAnswersSchema.parse(answersOf(witness))
  assert.deepEqual([answers.pools, answers.guestUser], [[], undefined])
  // Chosen, given up again: another scenario has its disks.
  assert.ok(stepsOf({ ...witness, scenario: 'single' }).includes('disks'))
  const compute = { ...witness, token: tokenOf({ cluster: 'demo', role: 'compute' }) }
  assert.deepEqual(stepsOf(compute), ['what', 'networks', 'disks', 'summary'])
  const senseless = [{ cluster: 'demo' }, { role: 'witness' }, { cluster: 'demo', role: 'root' }, null, 'witness'].map(
    tokenOf,
  )
  for (const wrong of ['', 'stead-join-', 'stead-join-%%%', token.trim().slice(0, -9), ...senseless]) {
    assert.equal(purposeOf(wrong), undefined, wrong)
    assert.ok(stepsOf({ ...witness, token: wrong }).includes('disks'), wrong)
  }
})

test('a complaint stands at the step whose field it is about', () => {
  const bad = { ...WHOLE, host: 'Not a label', addresses: { lan: '', san: '', ran: '' }, guestUser: 'root' }
  const { networks = '', disks, cluster } = complaintsAbout(bad)
  assert.match(networks, /host/)
  assert.match(networks, /addresses/)
  assert.match(networks, /guestUser/)
  assert.deepEqual([disks, cluster], [undefined, undefined])
  assert.match(complaintsAbout({ ...WHOLE, pools: [{ name: 'X', path: 'here', sizeGib: 1 }] }).disks ?? '', /pools/)
  assert.match(complaintsAbout({ ...WHOLE, clusterAddress: 'cluster.example' }).cluster ?? '', /IPv4/)
  assert.deepEqual(complaintsAbout({ ...WHOLE, guestUser: '64990:64990', clusterAddress: '10.0.1.9' }), {})
})

test('a port is judged as soon as it is chosen: its link, its speed, and what else it is to carry', () => {
  const ports = [port('eno1', '10.0.0.1'), port('eno2', '10.0.1.1', { up: false, speedMbits: 100 })]
  const addresses = { lan: '10.0.0.1', san: '10.0.1.1', ran: '10.0.1.1' }
  assert.deepEqual(portFindings('lan', { addresses }, ports), [])
  assert.deepEqual(portFindings('san', { addresses }, ports), [
    { kind: 'no-link', port: 'eno2' },
    { kind: 'slow', port: 'eno2', speedMbits: 100 },
  ])
  assert.deepEqual(portFindings('ran', { addresses }, ports).at(-1), { kind: 'shared', port: 'eno2', with: 'san' })
  assert.deepEqual(portFindings('ran', { addresses: { ...addresses, ran: '' } }, ports), [])
})

test('a bond is asked for with what was said of it, and a role may have the address that it brings', () => {
  const [first, second] = [proposedBond([]), proposedBond([{ ...proposedBond([]), name: 'lan' }])]
  assert.deepEqual([first.name, second.name], ['bond0', 'bond0'])
  assert.equal(proposedBond([first]).name, 'bond1')
  const bond = { ...first, ports: ['eno2', 'eno3'], address: ' 10.0.9.1/24' }
  const form: SetupForm = { ...WHOLE, bonds: [bond], addresses: { ...WHOLE.addresses, san: '10.0.9.1' } }
  assert.deepEqual(setupAnswersSchema.parse(answersOf(form)).bonds, [
    {
      ...{ name: 'bond0', ports: ['eno2', 'eno3'], mode: 'active-backup', addresses: ['10.0.9.1/24'] },
      ...{ miimonMs: 100, lacpRate: 'fast', hashPolicy: 'layer3+4' },
    },
  ])
  const [made] = portsToCome(VIEW.ports, form.bonds)
  assert.deepEqual([made?.name, made?.up, made?.speedMbits], ['bond0', true, 10_000])
  assert.deepEqual(portFindings('san', form, portsToCome(VIEW.ports, form.bonds)), [])
  assert.deepEqual(portsToCome(VIEW.ports, [{ ...bond, address: '' }]), VIEW.ports)
  assert.match(complaintsAbout({ ...form, bonds: [first] }).networks ?? '', /ports/)
})
