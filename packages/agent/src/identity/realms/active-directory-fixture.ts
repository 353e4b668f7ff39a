/**
 * A real Active Directory for tests: Samba's domain controller. It listens at the ports that such a one has, so it wants a
 * network of its own, and mounts of its own: it waits for the disk at each change, and has its files in memory here.
 */
import { execFile, spawn } from 'node:child_process'
import { once } from 'node:events'
import { mkdtemp, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { promisify } from 'node:util'
import type { EndsLater } from '../../backend/backend-fixture.ts'
import { untilOpen } from '../../free-port-fixture.ts'
import type { ServerCertificate } from '../../http/api-server.ts'

const run = promisify(execFile)

export const DOMAIN = 'ad.example.org'
export const STAFF = 'OU=Staff,DC=ad,DC=example,DC=org'
export const READER = { name: 'reader', password: 'The-reader&(1)' } as const
const ADMINISTRATOR = { name: `Administrator@${DOMAIN}`, password: 'Adm1n-secret' } as const
const LDAPS_PORT = 636

/** What a password is in LDIF: in quotation marks, UTF-16, Base64. */
const passwordLine = (password: string) => `unicodePwd:: ${Buffer.from(`"${password}"`, 'utf16le').toString('base64')}`

/** `userAccountControl`: 512 a normal account. */
export function person(commonName: string, account: string, password: string, lines: readonly string[] = []): string {
  return [
    ...[`dn: CN=${commonName},${STAFF}`, 'changetype: add', 'objectClass: user', `sAMAccountName: ${account}`],
    ...[passwordLine(password), 'userAccountControl: 512', ...lines],
  ].join('\n')
}

export function group(name: string, ...members: readonly string[]): string {
  const lines = [`dn: CN=${name},${STAFF}`, 'changetype: add', 'objectClass: group', `sAMAccountName: ${name}`]
  return [...lines, ...members.map((member) => `member: CN=${member},${STAFF}`)].join('\n')
}

export class TestDomain {
  readonly ldaps = `ldaps://127.0.0.1:${LDAPS_PORT}`
  readonly ldap = 'ldap://127.0.0.1:389'
  readonly #folder: string

  private constructor(folder: string) {
    this.#folder = folder
  }

  static async start(context: EndsLater, { certificate, key }: ServerCertificate): Promise<TestDomain> {
    const folder = await mkdtemp(join(tmpdir(), 'stead-domain-'))
    context.after(() => rm(folder, { recursive: true, force: true }))
    await run('mount', ['-t', 'tmpfs', 'tmpfs', folder])
    context.after(async () => void (await run('umount', [folder])))
    await writeFile(join(folder, 'tls.pem'), certificate)
    await writeFile(join(folder, 'tls.key'), key, { mode: 0o600 })
    await run('samba-tool', [
      ...['domain', 'provision', '--server-role=dc', '--dns-backend=NONE', '--host-name=dc1', '--host-ip=127.0.0.1'],
      ...[`--realm=${DOMAIN.toUpperCase()}`, '--domain=EXAMPLE', `--adminpass=${ADMINISTRATOR.password}`],
      ...[`--targetdir=${folder}`, '--option=interfaces=lo', '--option=bind interfaces only=yes'],
      // Of its file shares nothing is wanted, nor what they ask of the file system.
      '--option=vfs objects=',
    ])
    const daemon = spawn('samba', settings(folder), { stdio: 'ignore' })
    context.after(async () => {
      if (daemon.exitCode !== null) return
      daemon.kill('SIGTERM')
      await once(daemon, 'exit')
    })
    await untilOpen(LDAPS_PORT)
    return new TestDomain(folder)
  }

  /** As `ldapmodify` reads it, each change by itself. */
  async modify(...changes: readonly string[]): Promise<void> {
    const file = join(this.#folder, 'change.ldif')
    await writeFile(file, `${changes.join('\n\n')}\n`)
    const env = { ...process.env, LDAPTLS_REQCERT: 'never' }
    const as = ['-D', ADMINISTRATOR.name, '-w', ADMINISTRATOR.password]
    await run('ldapmodify', ['-x', '-H', this.ldaps, ...as, '-f', file], { env })
  }

  /** Of the whole domain. */
  async lockAfter(wrongPasswords: number): Promise<void> {
    await this.modify(
      `dn: DC=ad,DC=example,DC=org\nchangetype: modify\nreplace: lockoutThreshold\nlockoutThreshold: ${wrongPasswords}`,
    )
  }
}

function settings(folder: string): string[] {
  return [
    ...['--foreground', '--no-process-group', '--model=single', `--configfile=${join(folder, 'etc/smb.conf')}`],
    ...['server services=ldap', `pid directory=${folder}`, `ncalrpc dir=${join(folder, 'ncalrpc')}`].map(option),
    ...[`log file=${join(folder, 'log')}`, 'ldap server require strong auth=yes'].map(option),
    ...[`tls certfile=${join(folder, 'tls.pem')}`, `tls keyfile=${join(folder, 'tls.key')}`].map(option),
    // Otherwise it looks for one of its own making.
    option(`tls cafile=${join(folder, 'tls.pem')}`),
  ]
}

function option(text: string): string {
  return `--option=${text}`
}
