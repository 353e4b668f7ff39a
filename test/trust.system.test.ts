/** Who is no host of the cluster is refused wherever hosts talk to each other, and a disk alone gives no secrets. */
import assert from 'node:assert/strict'
import { spawnSync } from 'node:child_process'
import { copyFileSync, existsSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { after, before, suite, test } from 'node:test'
import {
  startAuthority,
  startNameServer,
  WITHOUT_AUTHORITY,
  type Place,
} from '@stead/agent/certificate/test-authority-fixture.ts'
import { readCertificate } from '@stead/agent/trust/certificate-reading.ts'
import { createAuthority, issueCertificate } from '@stead/agent/trust/certificates.ts'
import { hostContent } from '@stead/agent/trust/host-trust.ts'
import { readAuthorities, trustFiles } from '@stead/agent/trust/trust-files.ts'
import { signatureOf } from '@stead/agent/webhooks/webhook-message.ts'
import type { ClusterView } from '@stead/api/cluster-view.ts'
import { ENDPOINTS } from '@stead/api/endpoints.ts'
import type { AuthorityView } from '@stead/api/endpoints/authority.ts'
import type { CertificateView } from '@stead/api/endpoints/certificate.ts'
import type { SignInView } from '@stead/api/endpoints/sign-in.ts'
import type { Result } from '@stead/core/result.ts'
import { LabCluster, STEAD } from './support/lab-cluster.ts'
import { oneTimeCode } from './support/one-time-code.ts'

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
    for (const end of ends.toReversed()) await end()
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
    const { authorities } = trustFiles(lab.hostFolder('h2'))
    const [cert, key] = ['web.pem', 'web.key'].map((file) => join(lab.hostFolder('h2'), 'web', file)) as [
      string,
      string,
    ]
    await lab.until('h2 has one', async () => existsSync(cert))
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
    // Between two starts of its agent a host does not answer.
    const shows = async (holds: (shown: AuthorityView) => boolean) => {
      const { code, stdout } = await lab.run('authority', 'show', '--json')
      return code === 0 && holds(JSON.parse(stdout) as AuthorityView)
    }
    await lab.until('nobody is invited meanwhile', async () =>
      (await lab.run('host', 'invite')).stderr.includes('being replaced'),
    )
    await lab.must('lab', 'kill', 'h2', 'agent')
    await lab.until('every host trusts both', () =>
      shows(
        ({ replacement, fingerprint }) =>
          replacement?.phase !== 'trust' && (replacement !== null || fingerprint !== former),
      ),
    )
    await lab.must('lab', 'kill', 'h1', 'agent')
    const isReplaced = ({ replacement, fingerprint }: AuthorityView) => replacement === null && fingerprint !== former
    await lab.until('it is replaced', () => shows(isReplaced), 120_000)
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

  test('secrets are sealed as soon as every member has a share of the key', async () => {
    await lab.until('they are', async () => (await lab.json<ClusterView>('cluster', 'show')).secrets.state === 'sealed')
    const shown = await lab.must('cluster', 'show')
    assert.match(shown, /secrets: +sealed, 2 of 3 shares needed \(h1, h2, witness\)/)
    assert.doesNotMatch(shown, /secrets lie in clear/i)
    await lab.until('the key of the authority is too', async () =>
      ['h1', 'h2'].every(
        (host) => !readFileSync(trustFiles(lab.hostFolder(host)).authorityKey, 'utf8').includes('PRIVATE'),
      ),
    )
  })

  const PASSWORD = 'correct horse battery staple'
  const BIND_DN = 'cn=reader,dc=example,dc=org'
  const BIND_PASSWORD = 'what the reader types'
  const known = { factor: '', webhook: '', name: '', root: '' }
  const ends: (() => void | Promise<void>)[] = []

  test('no disk of a host has them in clear', async () => {
    const root = lab.clientOf(['h1'])
    const must = async <T>(asked: Promise<Result<T>>) => {
      const answer = await asked
      assert.ok(answer.ok, answer.ok ? '' : answer.error.message)
      return answer.value
    }
    await must(root.call(ENDPOINTS['user.create'], { body: { name: 'ada' } }))
    const reset = await must(root.call(ENDPOINTS['user.reset-password'], { params: { user: 'ada' } }))
    const first = await ask<SignInView>('POST', '/v1/auth/sign-in', { ...ADA, password: reset.password })
    await ask('PUT', '/v1/auth/password', { next: PASSWORD }, first.token)
    const { token } = await ask<SignInView>('POST', '/v1/auth/sign-in', { ...ADA, password: PASSWORD })
    const { secret } = await ask<{ secret: string }>('POST', '/v1/auth/second-factors/totp', undefined, token)
    await ask('PUT', '/v1/auth/second-factors/totp', { code: oneTimeCode(secret, Date.now()) }, token)
    known.factor = secret
    const service = {
      ...{ kind: 'ldap' as const, urls: ['ldaps://10.66.250.1'], baseDn: 'dc=example,dc=org' },
      ...{ userAttribute: 'uid', bindDn: BIND_DN, bindPassword: BIND_PASSWORD },
    }
    await must(root.call(ENDPOINTS['realm.add'], { body: { name: 'corp', makesUsers: false, groups: [], service } }))
    await must(root.call(ENDPOINTS['policy.set'], { body: { outboundAllow: ['10.66.250.0/24'] } }))
    const url = `http://${LISTENER.address}:${LISTENER.port}/`
    known.webhook = (
      await must(root.call(ENDPOINTS['webhook.create'], { body: { name: 'hook', url, kinds: ['host.lost'] } }))
    ).secret
    const secrets = [known.factor, known.webhook, BIND_PASSWORD, PASSWORD, '$argon2id$']
    for (const host of ['h1', 'h2', 'witness']) {
      let found: readonly string[] = []
      await lab.until(`what is no secret is on the disk of ${host}`, async () => {
        found = onDiskOf(host, [BIND_DN, ...secrets])
        return found.includes(BIND_DN)
      })
      assert.deepEqual(found, [BIND_DN], host)
    }
  })

  test(
    'an authority gives a certificate of the web, to one that goes on where the coordinator dies: every host shows it',
    { skip: WITHOUT_AUTHORITY },
    async () => {
      const place: Place = {
        address: LISTENER.address,
        start: (command, args, env) => {
          const said = Object.entries(env).map(([name, value]) => `${name}=${value}`)
          const daemon = lab.spawn(STEAD, ['lab', 'client', '--', 'env', ...said, command, ...args])
          daemon.stdout?.resume()
          daemon.stderr?.resume()
          return daemon
        },
      }
      const context = { after: (run: () => void | Promise<void>) => void ends.push(run) }
      const hosts = { h1: '10.66.0.1', h2: '10.66.0.2' }
      const zone = { h1: [hosts.h1], h2: [hosts.h2] }
      const names = await startNameServer(context, zone, place, 5353)
      const authority = await startAuthority(context, {
        names,
        place,
        port: 14_000,
        httpPort: 80,
        looksAfterSeconds: 3,
      })
      const pem = join(strange, 'acme.pem')
      writeFileSync(pem, authority.authorityPem)
      const curl = (...args: readonly string[]) =>
        lab.run('lab', 'client', '--', 'curl', '--silent', '--max-time', '5', ...args)
      await lab.until(
        'the authority answers',
        async () => (await curl('--insecure', authority.directoryUrl)).code === 0,
      )

      const order = (...of: readonly string[]) => [
        ...[
          'certificate',
          'order',
          ...of.map((host) => `${host}.example.test`),
          '--authority',
          pem,
          '--timeout',
          '120s',
        ],
        ...['--directory', authority.directoryUrl],
      ]
      assert.match((await lab.run(...order('h1'))).stderr, /terms that must be agreed to[^]*--agree-terms/)
      // What one of them has ordered both answer: the authority asks each by its own name.
      await lab.must(...order('h1', 'h2'), '--agree-terms')
      assert.deepEqual((await certificate()).given?.names.toSorted(), ['h1.example.test', 'h2.example.test'])

      const { coordinator } = await lab.json<ClusterView>('cluster', 'show')
      const [other = ''] = Object.keys(hosts).filter((host) => host !== coordinator)
      known.name = `${other}.example.test`
      let isOver = false
      const ordering = lab.run(...order(other), '--agree-terms').finally(() => (isOver = true))
      // On a busy machine it may be over before anybody has looked.
      await lab.until(
        'the authority looks',
        async () =>
          isOver || (await lab.must('operation', 'list')).includes('the authority looks whether the names are ours'),
      )
      await lab.must('lab', 'kill', coordinator ?? '', 'agent')
      const ordered = await ordering
      assert.equal(ordered.code, 0, ordered.stderr)
      const { standing, given } = await certificate()
      assert.deepEqual([standing, given?.names], ['valid', [known.name]])

      const root = join(strange, 'acme-root.pem')
      writeFileSync(root, (await curl('--insecure', authority.rootUrl)).stdout)
      for (const [host, address] of Object.entries(hosts)) {
        await lab.until(`${host} shows it`, async () => (await shownBy(address, root)).code === 0)
        const own = await curl('--cacert', root, `https://${address}:8443/v1/version`)
        assert.equal(own.code, CURL_NOT_BELIEVED, `${host} shows its own to who comes by its address`)
        await lab.until(`port 80 of ${host} is closed again`, async () => (await curl(`http://${address}/`)).code !== 0)
      }
      known.root = root
      for (const host of ['h1', 'h2', 'witness'])
        assert.deepEqual(onDiskOf(host, [known.name, KEY_IN_RECORD]), [known.name], host)
    },
  )

  test('all hosts off, a host and the witness on again: its secrets open, with no person at it', async () => {
    for (const host of ['h1', 'h2', 'witness']) await lab.must('lab', 'power-off', host)
    for (const host of ['h1', 'witness']) await lab.must('lab', 'power-on', host)
    // A code is good once, and those of half a minute ahead are taken.
    const code = () => oneTimeCode(known.factor, Date.now() + 30_000)
    await lab.until('ada comes in', async () => {
      const begun = await tried<SignInView>('POST', '/v1/auth/sign-in', { ...ADA, password: PASSWORD })
      if (!begun?.pending) return false
      const done = await tried<SignInView>('POST', '/v1/auth/second-factor', { pending: begun.pending, code: code() })
      return done?.state === 'signed-in'
    })
    const heard = listen()
    await lab.until('the webhook is told', async () => (await lab.run('webhook', 'test', 'hook')).code === 0)
    const { signature, body } = JSON.parse(await heard) as { readonly signature: string; readonly body: string }
    const [, seconds = '', shown] = /^t=(\d+),v1=(.+)$/.exec(signature) ?? []
    assert.equal(shown, signatureOf(known.webhook, Number(seconds), body))
    if (known.root !== '')
      await lab.until('the certificate is shown', async () => (await shownBy('10.66.0.1', known.root)).code === 0)
    await lab.must('lab', 'power-on', 'h2')
  })

  const shownBy = (address: string, root: string) => {
    const by = ['--resolve', `${known.name}:8443:${address}`, '--cacert', root, '--silent', '--max-time', '5']
    return lab.run(
      'lab',
      'client',
      '--',
      'curl',
      ...by,
      '--output',
      '/dev/null',
      `https://${known.name}:8443/v1/version`,
    )
  }

  const certificate = () => lab.json<CertificateView>('certificate', 'show')
  /** A key in JSON: the line's end is two characters there. */
  const KEY_IN_RECORD = 'PRIVATE KEY-----\\n'
  const CURL_NOT_BELIEVED = 60
  const ADA = { user: 'ada', form: 'token' } as const
  const LISTENER = { address: '10.66.250.1', port: 8080 }

  /** At the public port of h1, as somebody on the LAN. */
  async function tried<T>(method: string, path: string, body?: object, token?: string | null): Promise<T | undefined> {
    const sent = body ? ['-H', 'content-type: application/json', '--data', JSON.stringify(body)] : []
    const shown = token ? ['-H', `authorization: Bearer ${token}`] : []
    const curl = ['curl', '--silent', '--insecure', '--fail', '--max-time', '20', '-X', method, ...sent, ...shown]
    const answer = await lab.run('lab', 'client', '--', ...curl, `https://10.66.0.1:8443${path}`)
    return answer.code === 0 ? (JSON.parse(answer.stdout || '{}') as T) : undefined
  }

  async function ask<T>(...request: Parameters<typeof tried>): Promise<T> {
    const answer = await tried<T>(...request)
    assert.ok(answer, `${request[0]} ${request[1]}`)
    return answer
  }

  /** Which of the texts are in any file of the host's state, etcd's too. */
  function onDiskOf(host: string, texts: readonly string[]): readonly string[] {
    const files = ['--recursive', '--text', '--only-matching', '--no-filename', '--fixed-strings', '--devices=skip']
    const wanted = texts.flatMap((text) => ['-e', text])
    const { stdout } = spawnSync('grep', [...files, ...wanted, lab.hostFolder(host)], { encoding: 'utf8' })
    return [...new Set(stdout.split('\n').filter(Boolean))]
  }

  /** The first thing that a webhook is told, with its signature. */
  function listen(): Promise<string> {
    const child = lab.spawn(STEAD, ['lab', 'client', '--', process.execPath, '-e', LISTENS, String(LISTENER.port)])
    return new Promise((resolve) => child.stdout?.once('data', (text: Buffer) => resolve(text.toString())))
  }
})

const LISTENS = `
require('node:http').createServer((request, response) => {
  let body = ''
  request.on('data', (part) => (body += part))
  request.on('end', () => {
    process.stdout.write(JSON.stringify({ signature: request.headers['stead-signature'], body }))
    response.end()
  })
}).listen(Number(process.argv[1]))
`
