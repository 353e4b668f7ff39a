import assert from 'node:assert/strict'
import { mkdtempSync, readFileSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { test, type TestContext } from 'node:test'
import type { Clock } from '@stead/core/ports/clock.ts'
import type { Log } from '@stead/core/ports/log.ts'
import { fail, ok } from '@stead/core/result.ts'
import { failure } from '@stead/core/errors.ts'
import { HostCredentials } from './host-credentials.ts'
import { readCertificate } from './certificate-reading.ts'
import { trustEachOther } from './host-trust.ts'
import { renewWhenDue, signFor } from './keep-certificate.ts'
import { KeyRing } from '../vault/key-ring.ts'
import { randomLine } from '../vault/key-shares.ts'
import { sealFile } from '../vault/sealed-file.ts'
import { AUTHORITY_KEY_PLACE, NO_VAULT, readMaterial, trustFiles } from './trust-files.ts'

const serialOf = (credentials: HostCredentials) => readCertificate(credentials.material.cert).serial

const MADE = Date.parse('2026-11-22T12:00:00Z')
const DAY_MS = 86_400_000
const quiet: Log = { debug() {}, info() {}, warn() {}, error() {}, with: () => quiet }
const at = (wallMs: number): Clock => ({
  wallMs: () => wallMs,
  monotonicMs: () => wallMs,
  sleep: async () => undefined,
})

async function hosts(context: TestContext) {
  const folder = mkdtempSync(join(tmpdir(), 'stead-renewal-'))
  context.after(() => rmSync(folder, { recursive: true }))
  const member = (hostId: string, role: 'compute' | 'witness', order: number) => ({
    ...{ hostId, role, order, addresses: { lan: `192.0.2.${order}` } },
  })
  const members = [member('h1', 'compute', 1), member('witness', 'witness', 2)]
  const stateDir = (id: string) => join(folder, id)
  await trustEachOther(
    'demo',
    members.map(({ hostId, role, addresses }) => ({ id: hostId, role, addresses, stateDir: stateDir(hostId) })),
    MADE,
  )
  const config = (hostId: string) => ({ hostId, stateDir: stateDir(hostId), members })
  const credentials = (hostId: string) => HostCredentials.load(stateDir(hostId))
  return { config, credentials, stateDir }
}

const nobody = async () => fail(failure('host_unreachable', 'nobody is there'))

test('a fresh certificate is left alone, one of a year is made anew with its key', async (context) => {
  const { config, credentials, stateDir } = await hosts(context)
  const own = credentials('h1')
  const before = own.material
  const options = { config: config('h1'), credentials: own, vault: NO_VAULT, askAnother: nobody, log: quiet }
  assert.deepEqual(await renewWhenDue({ ...options, clock: at(MADE + 364 * DAY_MS) }), ok('fresh'))
  assert.equal(own.material, before)
  assert.deepEqual(await renewWhenDue({ ...options, clock: at(MADE + 366 * DAY_MS) }), ok('fresh'))
  assert.notEqual(serialOf(own), readCertificate(before.cert).serial)
  assert.equal(own.material.key, before.key)
  assert.deepEqual(readMaterial(stateDir('h1')), own.material)
})

test('a witness has another host sign, and keeps the old one while nobody does', async (context) => {
  const { config, credentials } = await hosts(context)
  const own = credentials('witness')
  const serial = serialOf(own)
  const [nowMs, log] = [MADE + 400 * DAY_MS, quiet]
  const options = { config: config('witness'), credentials: own, vault: NO_VAULT, clock: at(nowMs), log }
  assert.equal((await renewWhenDue({ ...options, askAnother: nobody })).ok, false)
  assert.equal(serialOf(own), serial)
  const askAnother = (requestPem: string) => signFor(config('h1'), NO_VAULT, 'witness', requestPem, nowMs)
  assert.deepEqual(await renewWhenDue({ ...options, askAnother }), ok('fresh'))
  assert.equal(readCertificate(own.material.cert).name, 'witness')
})

test('who is no member gets no certificate', async (context) => {
  const { config } = await hosts(context)
  const refused = await signFor(config('h1'), NO_VAULT, 'h9', 'anything', MADE)
  assert.ok(!refused.ok)
  assert.equal(refused.error.code, 'forbidden')
})

test('with the authority’s key sealed, a host signs once it has the key of the vault', async (context) => {
  const { config, credentials, stateDir } = await hosts(context)
  const own = credentials('h1')
  const { authorityKey: path } = trustFiles(stateDir('h1'))
  const ring = new KeyRing(1, randomLine().key)
  assert.deepEqual(sealFile({ path, place: AUTHORITY_KEY_PLACE }, ring), ok())
  assert.doesNotMatch(readFileSync(path, 'utf8'), /PRIVATE/)
  const late = { clock: at(MADE + 366 * DAY_MS), log: quiet, askAnother: nobody }
  const options = { config: config('h1'), credentials: own, ...late }
  const locked = await renewWhenDue({ ...options, vault: NO_VAULT })
  assert.ok(!locked.ok)
  assert.equal(locked.error.code, 'secrets_locked')
  const vault = { ...NO_VAULT, openNow: (text: string, place: string) => ring.open(text, place) }
  assert.deepEqual(await renewWhenDue({ ...options, vault }), ok('fresh'))
})
