/** Who is no host of the cluster is refused wherever hosts talk to each other. */
import assert from 'node:assert/strict'
import { copyFileSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { after, before, suite, test } from 'node:test'
import { readCertificate } from '@stead/agent/trust/certificate-reading.ts'
import { createAuthority, issueCertificate } from '@stead/agent/trust/certificates.ts'
import { hostContent } from '@stead/agent/trust/host-trust.ts'
import { readAuthorities, trustFiles } from '@stead/agent/trust/trust-files.ts'
import type { AuthorityView } from '@stead/api/endpoints/authority.ts'
import { LabCluster } from './support/lab-cluster.ts'

/** On the storage network of h1: etcd for clients, etcd for its members, the agent for other agents. */
const DOORS = { 'the store': 2379, 'the members of the store': 2380, 'the agent': 8444 }
const H1 = '10.77.0.1'

suite('trust between hosts', { timeout: 300_000 }, () => {
  let lab: LabCluster
  let strange: string
  before(async () => {
    lab = await LabCluster.up({ hosts: 2, witness: true })
    strange = mkdtempSync(join(tmpdir(), 'stead-stranger-'))
  })
  after(async () => {
    await lab.down()
    rmSync(strange, { recursive: true })
  })

  /** The status that h2 gets, which has every address right; 0 where it does not get as far as a request. */
  async function knock(port: number, ...args: readonly string[]): Promise<number> {
    const url = `${args.includes('--plain') ? 'http' : 'https'}://${H1}:${port}/version`
    const options = ['--silent', '--http1.1', '--max-time', '5', '--output', '/dev/null', '--write-out', '%{http_code}']
    const more = args.filter((arg) => arg !== '--plain')
    return Number((await lab.run('lab', 'exec', 'h2', '--', 'curl', ...options, ...more, url)).stdout)
  }

  const shown = (cert: string, key: string, ca: string) => ['--cert', cert, '--key', key, '--cacert', ca]

  test('a host is let in at every door', async () => {
    const { certificate, key, authorities } = trustFiles(lab.hostFolder('h2'))
    for (const [door, port] of Object.entries(DOORS))
      assert.notEqual(await knock(port, ...shown(certificate, key, authorities)), 0, door)
  })

  test('without a certificate, or without TLS, nobody is', async () => {
    for (const [door, port] of Object.entries(DOORS)) {
      assert.equal(await knock(port, '--insecure'), 0, door)
      // Go says that TLS was expected; Node ends the connection.
      assert.ok([0, 400].includes(await knock(port, '--plain')), door)
    }
  })

  test('with a certificate of another authority of the same name nobody is', async () => {
    const other = await createAuthority(lab.id, Date.now())
    const own = await issueCertificate(other, hostContent({ id: 'h2', addresses: { san: '10.77.0.2' } }), Date.now())
    const [cert, key] = [join(strange, 'cert.pem'), join(strange, 'key.pem')]
    writeFileSync(cert, own.certificatePem)
    writeFileSync(key, own.keyPem)
    const { authorities } = trustFiles(lab.hostFolder('h2'))
    for (const [door, port] of Object.entries(DOORS))
      assert.equal(await knock(port, ...shown(cert, key, authorities)), 0, door)
  })

  test('what serves browsers opens no door of the hosts', async () => {
    const { authorityKey, authorities } = trustFiles(lab.hostFolder('h1'))
    const authority = { keyPem: readFileSync(authorityKey, 'utf8'), certificatePem: readFileSync(authorities, 'utf8') }
    const web = await issueCertificate(authority, { purpose: 'web', name: 'h2', names: ['10.77.0.2'] }, Date.now())
    const [cert, key] = [join(strange, 'web.pem'), join(strange, 'web.key')]
    writeFileSync(cert, web.certificatePem)
    writeFileSync(key, web.keyPem)
    for (const [door, port] of Object.entries(DOORS))
      assert.equal(await knock(port, ...shown(cert, key, authorities)), 0, door)
  })

  test('the witness cannot make hosts: it has no key of the authority', () => {
    assert.throws(() => readFileSync(trustFiles(lab.hostFolder('witness')).authorityKey), /ENOENT/)
  })

  test('the authority is replaced under a running guest, though agents are killed meanwhile', async () => {
    const guest = 'demo'
    const authorities = (host: string) => readAuthorities(lab.hostFolder(host))
    const view = () => lab.json<AuthorityView>('authority', 'show')
    await lab.createRecorder(guest, { host: 'h2' })
    const written = await lab.recordsPast(guest, 5)
    const [run, former] = [lab.qemuProcesses(guest)[0]?.pid, (await view()).fingerprint]
    const { certificate, key, authorities: believed } = trustFiles(lab.hostFolder('h2'))
    const [oldCertificate, oldKey] = [join(strange, 'former.pem'), join(strange, 'former.key')]
    copyFileSync(certificate, oldCertificate)
    copyFileSync(key, oldKey)
    assert.match(await lab.must('authority', 'replace', '--what-if'), /Nothing was changed/)
    assert.equal((await view()).replacement, null)

    await lab.must('authority', 'replace')
    const invited = await lab.run('host', 'invite')
    assert.match(invited.stderr, /being replaced/)
    await lab.must('lab', 'kill', 'h2', 'agent')
    await lab.until('every host trusts both', async () => {
      const { replacement, fingerprint } = await view()
      return fingerprint !== former || (replacement !== null && replacement.phase !== 'trust')
    })
    await lab.must('lab', 'kill', 'h1', 'agent')
    await lab.until('it is replaced', async () => (await view()).replacement === null, 120_000)
    const present = (await view()).fingerprint
    assert.notEqual(present, former)
    for (const host of ['h1', 'h2', 'witness'])
      assert.deepEqual(
        authorities(host).map((pem) => readCertificate(pem).fingerprint),
        [present],
        host,
      )

    for (const [door, port] of Object.entries(DOORS)) {
      assert.equal(
        await knock(port, ...shown(oldCertificate, oldKey, believed)),
        0,
        `the former certificate at ${door}`,
      )
      assert.notEqual(await knock(port, ...shown(certificate, key, believed)), 0, door)
    }
    await lab.recordsPast(guest, written + 5)
    assert.equal(lab.qemuProcesses(guest)[0]?.pid, run, 'the guest ran on')
    await lab.untilProtected(guest)
    const told = (await lab.events()).map(({ kind }) => kind)
    assert.ok(told.includes('authority.replacing') && told.includes('authority.replaced'))
  })
})
