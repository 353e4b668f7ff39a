/** A real directory for tests: OpenLDAP on loopback, with TLS, people and groups. */
import { execFile, spawn } from 'node:child_process'
import { once } from 'node:events'
import { mkdtemp, mkdir, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { promisify } from 'node:util'
import type { EndsLater } from '../../backend/backend-fixture.ts'
import { freePort, untilOpen } from '../../free-port-fixture.ts'
import type { ServerCertificate } from '../../http/api-server.ts'

const run = promisify(execFile)

export const BASE = 'dc=example,dc=org'
export const READER = { dn: `cn=reader,${BASE}`, password: 'the reader&(1)' } as const

const PEOPLE = `dn: ${BASE}
objectClass: dcObject
objectClass: organization
dc: example
o: Example

dn: cn=reader,${BASE}
objectClass: person
cn: reader
sn: reader
userPassword: ${READER.password}

dn: ou=people,${BASE}
objectClass: organizationalUnit
ou: people

dn: ou=groups,${BASE}
objectClass: organizationalUnit
ou: groups

dn: uid=dora,ou=people,${BASE}
objectClass: inetOrgPerson
uid: dora
cn: Dora D
sn: D
mail: dora@example.org
userPassword: Dora's own (password)*

dn: uid=emil,ou=people,${BASE}
objectClass: inetOrgPerson
uid: emil
cn: Emil E
sn: E
title: left
userPassword: emil has left

dn: cn=admins,ou=groups,${BASE}
objectClass: groupOfNames
cn: admins
member: uid=dora,ou=people,${BASE}

dn: cn=everybody,ou=groups,${BASE}
objectClass: posixGroup
cn: everybody
gidNumber: 5000
memberUid: dora
memberUid: emil
`

export class TestDirectory {
  readonly ldaps: string
  readonly ldap: string
  readonly #folder: string

  private constructor(folder: string, ldaps: string, ldap: string) {
    this.#folder = folder
    this.ldaps = ldaps
    this.ldap = ldap
  }

  static async start(context: EndsLater, { certificate, key }: ServerCertificate): Promise<TestDirectory> {
    const folder = await mkdtemp(join(tmpdir(), 'stead-directory-'))
    context.after(() => rm(folder, { recursive: true, force: true }))
    await mkdir(join(folder, 'data'))
    await writeFile(join(folder, 'tls.pem'), certificate)
    await writeFile(join(folder, 'tls.key'), key, { mode: 0o600 })
    await writeFile(join(folder, 'people.ldif'), PEOPLE)
    await writeFile(join(folder, 'slapd.conf'), configuration(folder))
    await run('slapadd', ['-f', join(folder, 'slapd.conf'), '-l', join(folder, 'people.ldif')])
    const [secure, plain] = [await freePort(), await freePort()]
    const self = new TestDirectory(folder, `ldaps://127.0.0.1:${secure}`, `ldap://127.0.0.1:${plain}`)
    const urls = `${self.ldaps}/ ${self.ldap}/`
    const daemon = spawn('slapd', ['-f', join(folder, 'slapd.conf'), '-h', urls, '-d', '0'], { stdio: 'ignore' })
    context.after(async () => {
      if (daemon.exitCode !== null) return
      daemon.kill('SIGTERM')
      await once(daemon, 'exit')
    })
    await untilOpen(secure)
    return self
  }

  /** As `ldapmodify` reads it. */
  async modify(ldif: string): Promise<void> {
    const file = join(this.#folder, 'change.ldif')
    await writeFile(file, ldif)
    const env = { ...process.env, LDAPTLS_REQCERT: 'never' }
    await run('ldapmodify', ['-x', '-H', this.ldaps, '-D', `cn=admin,${BASE}`, '-w', 'admin', '-f', file], { env })
  }
}

/** People read themselves; who looks for others must be the reader. */
function configuration(folder: string): string {
  return `include /etc/ldap/schema/core.schema
include /etc/ldap/schema/cosine.schema
include /etc/ldap/schema/inetorgperson.schema
include /etc/ldap/schema/nis.schema
modulepath /usr/lib/ldap
moduleload back_mdb
pidfile ${folder}/slapd.pid
TLSCertificateFile ${folder}/tls.pem
TLSCertificateKeyFile ${folder}/tls.key
security simple_bind=128
database mdb
suffix "${BASE}"
rootdn "cn=admin,${BASE}"
rootpw admin
directory ${folder}/data
access to attrs=userPassword by anonymous auth by * none
access to * by dn="${READER.dn}" read by self read by * none
`
}
