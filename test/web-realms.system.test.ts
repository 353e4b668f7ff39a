/** Signing in by realms in a real browser: the provider's own pages, and a directory's users. */
import assert from 'node:assert/strict'
import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { after, before, suite, test } from 'node:test'
import { startSimulatedCluster, type SimulatedCluster } from '@stead/agent/backend/simulated-cluster-fixture.ts'
import { webCertificate } from '@stead/agent/http/web-certificate.ts'
import { webFiles } from '@stead/agent/http/web-files.ts'
import { BASE, READER, TestDirectory } from '@stead/agent/identity/realms/directory-fixture.ts'
import { CLIENT, OpenIdProvider } from '@stead/agent/identity/realms/openid-provider-fixture.ts'
import { TestBrowser } from './support/browser.ts'

/** Its pages want a font of another server, which no test machine need reach. */
const PROVIDER = /^https:\/\/(127\.0\.0\.1:|fonts\.googleapis\.com\/)/

suite('signing in by realms in the web interface', { timeout: 180_000 }, () => {
  const ends: (() => void | Promise<void>)[] = []
  const context = { after: (end: () => void | Promise<void>) => void ends.push(end) }
  let cluster: SimulatedCluster
  let provider: OpenIdProvider
  let directory: TestDirectory
  let authority: string
  let browser: TestBrowser

  before(async () => {
    cluster = await startSimulatedCluster(context, { token: 'test-token', web: webFiles() })
    const stateDir = await mkdtemp(join(tmpdir(), 'stead-web-realms-'))
    context.after(() => rm(stateDir, { recursive: true, force: true }))
    const pair = await webCertificate({ hostId: 'r', clusterName: 'r', addresses: {}, stateDir }, Date.now())
    assert.ok(pair.ok)
    authority = pair.value.certificate.match(/-----BEGIN CERTIFICATE-----[^-]+-----END CERTIFICATE-----/g)?.at(-1) ?? ''
    provider = await OpenIdProvider.start(context, pair.value, [`${cluster.url}/sign-in/realm`])
    directory = await TestDirectory.start(context, pair.value)
    provider.accounts.set('olga', { sub: '1001', preferred_username: 'olga', name: 'Olga O', groups: ['ops'] })
    const { backend } = cluster
    await backend.must('group.create', { body: { name: 'staff' } })
    const subject = { kind: 'group', name: 'staff' }
    await backend.must('permission.grant', { body: { subject, role: 'Administrator', path: '/' } })
    const common = { makesUsers: true, groups: [{ theirs: 'ops', ours: 'staff' }] }
    const secret = { clientId: CLIENT.id, clientSecret: CLIENT.secret }
    const oidc = { kind: 'oidc', issuer: provider.issuer, authority, ...secret }
    await backend.must('realm.add', { body: { ...common, name: 'sso', title: 'the university', service: oidc } })
    const bind = { bindDn: READER.dn, bindPassword: READER.password }
    const ldap = { kind: 'ldap', urls: [directory.ldaps], baseDn: BASE, authority, ...bind }
    await backend.must('realm.add', { body: { ...common, name: 'campus', title: 'Campus', service: ldap } })
    browser = await TestBrowser.open(cluster.url, { elsewhere: PROVIDER })
    context.after(() => browser.close())
    await browser.page.route('https://fonts.googleapis.com/**', (route) => route.abort())
    // Whoever is not signed in is told so; the provider's pages have no icon.
    browser.expect(/40[014]|net::ERR_FAILED/)
  })
  after(async () => {
    for (const end of ends.toReversed()) await end()
  })

  const atProvider = async () => {
    const { page } = browser
    await page.locator('input[name=login]').fill('olga')
    await page.locator('input[name=password]').fill('whatever')
    await page.locator('button[type=submit]').click()
    await page.getByRole('button', { name: 'Continue' }).click()
  }
  const signOut = async () => {
    await browser.page.getByRole('banner').getByRole('button').last().click()
    await browser.page.getByRole('menuitem', { name: 'Sign out' }).click()
    await browser.see('Sign in to Stead')
  }

  test('the button of an OpenID realm leads to its page and back into the cluster', async () => {
    await browser.page.goto('/')
    await browser.see('Sign in to Stead')
    await browser.see('Sign in with the university')
    await browser.check('sign in with realms')
    await browser.picture('sign-in-realms')
    await browser.press('Sign in with the university')
    await atProvider()
    await browser.see('Everything runs')
    assert.equal(new URL(browser.page.url()).pathname, '/')
    assert.equal(new URL(browser.page.url()).search, '', 'the answer does not stay in the address')
    await signOut()
  })

  test('an answer that another browser has begun signs nobody in', async () => {
    await browser.page.goto('/sign-in/realm?code=stolen&state=somebody')
    await browser.see('This sign-in was not begun here')
  })

  test('the command line is given a code to type, and nobody is signed in by it here', async () => {
    await browser.page.goto('/sign-in/realm?code=abc&state=cli.xyz')
    await browser.see('Code for the command line')
    await browser.check('code for the command line')
    const code = await browser.page.locator('code').innerText()
    assert.equal(Buffer.from(code, 'base64url').toString(), 'code=abc&state=cli.xyz')
  })

  test('a user of a directory chooses it, and needs not type its name', async () => {
    await browser.page.goto('/')
    await browser.page.getByLabel('User').fill('dora')
    await browser.page.getByLabel('Password', { exact: true }).fill("Dora's own (password)*")
    await browser.page.getByLabel('Account of').selectOption('Campus')
    await browser.press('Sign in')
    await browser.page.getByRole('banner').waitFor()
    await browser.page.goto('/account')
    await browser.see('dora@campus')
  })

  test('an administrator adds a directory, asks it about somebody, changes it and removes it', async () => {
    const { page } = browser
    const dialog = page.getByRole('dialog')
    const fill = (label: string, text: string) => dialog.getByLabel(label, { exact: true }).fill(text)
    const row = (name: string) => page.getByRole('row').filter({ hasText: name })
    await page.evaluate(() => sessionStorage.setItem('stead.token', 'test-token'))
    await page.goto('/administration?tab=realms')
    await row('campus').getByText('as an account of Campus').waitFor()
    await row('sso').getByText('button: with the university').waitFor()
    const keeps = page.getByRole('button', { name: 'Remove: campus' })
    assert.equal(await keeps.getAttribute('aria-description'), 'It has users; delete them first')
    await browser.check('realms')
    await browser.picture('administration-realms')

    await browser.press('Add a realm')
    await browser.check('add a realm')
    await dialog.getByLabel('Kind').first().click()
    await page.getByRole('option', { name: 'Directory (LDAP)' }).click()
    await fill('Name', 'labs')
    await fill('Addresses', directory.ldaps)
    await fill('Users are below', 'nowhere')
    await dialog.getByText('must be a distinguished name').waitFor()
    await fill('Users are below', BASE)
    await fill('Look for users as (empty: as nobody)', READER.dn)
    await fill('Password for that', READER.password)
    await fill('Certificate of its authority', authority)
    await dialog.getByRole('button', { name: 'Map one more group' }).click()
    await fill('Group there', 'ops')
    await dialog.getByLabel('Group here', { exact: true }).first().click()
    await page.getByRole('option', { name: 'staff', exact: true }).click()
    await browser.check('a directory')
    await browser.picture('realm')
    await dialog.getByRole('button', { name: 'Add a realm' }).click()
    await row('labs').getByText('as an account of labs').waitFor()

    await browser.press('Test: labs')
    await fill('A user of it, to ask for', 'dora')
    await dialog.getByRole('button', { name: 'Test', exact: true }).click()
    await dialog.getByText('not known here yet').waitFor()
    await browser.check('test of a realm')
    await browser.picture('realm-test')
    await fill('A user of it, to ask for', 'nobody-at-all')
    await dialog.getByRole('button', { name: 'Test', exact: true }).click()
    await dialog.getByRole('alert').waitFor()
    await dialog.getByRole('button', { name: 'Close' }).last().click()

    await browser.press('Change: labs')
    await fill('Name for people', 'The labs')
    await dialog.getByLabel('Not shown at sign-in').check()
    await dialog.getByRole('button', { name: 'Save' }).click()
    await row('labs').getByText('no: disabled').waitFor()
    const realm = await cluster.backend.must('realm.show', { params: { realm: 'labs' } })
    assert.deepEqual([realm.title, realm.groups], ['The labs', [{ theirs: 'ops', ours: 'staff' }]])
    assert.equal(realm.service.kind === 'ldap' && realm.service.bindPassword, '(secret)', 'it was not lost')
    await browser.press('Add a realm')
    await dialog.getByLabel('Kind').first().click()
    await page.getByRole('option', { name: 'Active Directory' }).click()
    await fill('Name', 'corp')
    await fill('Domain', 'ad.example.org')
    await dialog.getByText('bindDn').waitFor()
    await fill('Asked as', 'reader')
    await fill('Password of that account', READER.password)
    await fill('Domain controllers', 'dc1.ad.example.org')
    await browser.check('an Active Directory')
    await browser.picture('realm-active-directory')
    await dialog.getByRole('button', { name: 'Add a realm' }).click()
    await row('corp').getByText('as an account of corp').waitFor()
    const { service } = await cluster.backend.must('realm.show', { params: { realm: 'corp' } })
    assert.ok(service.kind === 'ldap')
    assert.deepEqual([service.urls, service.bindDn], [['ldaps://dc1.ad.example.org'], 'reader@ad.example.org'])

    await browser.press('Remove: labs')
    await dialog.getByRole('button', { name: 'Remove', exact: true }).click()
    await row('labs').waitFor({ state: 'detached' })
  })
})
