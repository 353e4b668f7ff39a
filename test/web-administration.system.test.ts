/** The administration's pages in a real browser, against the real API of a simulated cluster. */
import assert from 'node:assert/strict'
import { once } from 'node:events'
import { createServer } from 'node:http'
import type { AddressInfo } from 'node:net'
import { suite, test } from 'node:test'
import { addShownUsers, type SimulatedCluster } from '@stead/agent/backend/simulated-cluster-fixture.ts'
import { startAuthority, WITHOUT_AUTHORITY } from '@stead/agent/certificate/test-authority-fixture.ts'
import type { TestBrowser } from './support/browser.ts'
import { simulatedPages, type SimulatedPages } from './support/simulated-pages.ts'

const PASSWORD = 'correct horse battery'

suite('administration', { timeout: 240_000 }, () => {
  let cluster: SimulatedCluster
  let browser: TestBrowser
  let context: SimulatedPages['context']

  simulatedPages({ isSignedIn: true }, async (pages) => {
    ;({ cluster, browser, context } = pages)
    await addShownUsers(cluster, PASSWORD)
  })

  const open = async (tab: string, sees: string | RegExp) => {
    await browser.page.goto(`/administration?tab=${tab}`)
    await browser.page.getByRole('main').getByText(sees).first().waitFor()
  }
  const dialog = () => browser.page.getByRole('dialog')
  const fill = (label: string, text: string) => dialog().getByLabel(label, { exact: true }).fill(text)
  const confirm = (name: string) => dialog().getByRole('button', { name, exact: true }).click()
  const choose = async (label: string, option: string) => {
    await dialog().getByLabel(label, { exact: true }).first().click()
    await browser.page.getByRole('option', { name: option, exact: true }).click()
  }
  const row = (text: string) => browser.page.getByRole('row').filter({ hasText: text })

  test('every page can be used by everybody, in light and dark', async () => {
    const tabs = [
      ['users', 'alice'],
      ['groups', 'careful'],
      ['permissions', 'Administrator'],
      ['roles', 'GuestUser'],
      ['tokens', 'No tokens'],
      ['realms', 'No realms'],
      ['projects', 'default'],
      ['images', 'No images'],
      ['backups', 'No backups'],
      ['webhooks', 'No webhooks'],
      ['audit', 'vm.create'],
      ['settings', 'Room and balance'],
    ] as const
    for (const [tab, sees] of tabs) {
      await open(tab, sees)
      await browser.check(tab)
      if (tab !== 'realms' && tab !== 'webhooks') await browser.picture(`administration-${tab}`)
    }
    await browser.page.emulateMedia({ colorScheme: 'dark' })
    await open('users', 'alice')
    await browser.check('users, dark')
    await browser.page.emulateMedia({ colorScheme: 'light' })
  })

  test('a user with few rights is created, signs in, and is told what he may not do', async () => {
    await open('users', 'alice')
    await browser.press('Create a user')
    await fill('Name', 'Carol!')
    await dialog().getByText('must be 1 to 63 lower-case letters').waitFor()
    await browser.check('create a user')
    await fill('Name', 'carol')
    await fill('Full name', 'Carol Example')
    await confirm('Create a user')
    await row('carol').waitFor()
    await browser.press('Password: carol')
    await confirm('Password')
    await browser.see('The one-time password of carol')
    await browser.check('one-time password')
    const password = await dialog().locator('code').innerText()
    await dialog().getByRole('button', { name: 'Close' }).last().click()
    await browser.press('Lost…: carol')
    await browser.check('what a user has lost')
    await confirm('Lost…')
    await dialog().waitFor({ state: 'detached' })

    await browser.page.getByRole('tab', { name: 'Permissions' }).click()
    await browser.press('Give a role')
    await choose('Who', 'carol')
    await choose('Role', 'GuestUser')
    await fill('On', '/guests/mail')
    await browser.check('give a role')
    await confirm('Give a role')
    await row('/guests/mail').waitFor()
    await browser.page.getByRole('region', { name: 'May somebody do something?' }).waitFor()
    await browser.page.getByRole('combobox', { name: 'user', exact: true }).click()
    await browser.page.getByRole('option', { name: 'carol' }).click()
    await browser.press('Say why')
    await browser.page.getByRole('status').filter({ hasText: 'no' }).waitFor()
    await browser.check('permissions')
    await browser.picture('administration-permissions')

    const elsewhere = await browser.page.context().browser()!.newContext({ baseURL: cluster.url, locale: 'en' })
    const page = await elsewhere.newPage()
    await page.goto('/guests')
    await page.getByLabel('User').fill('carol')
    await page.getByLabel('Password', { exact: true }).fill(password)
    await page.getByRole('button', { name: 'Sign in', exact: true }).click()
    await page.getByLabel('New password', { exact: true }).fill(PASSWORD)
    await page.getByLabel('Once more', { exact: true }).fill(PASSWORD)
    await page.getByRole('button', { name: 'Change the password' }).click()
    await page.getByRole('row').filter({ hasText: 'mail' }).waitFor()
    assert.equal(await page.getByRole('row').filter({ hasText: 'orders-db' }).count(), 0)
    await page.goto('/guests/mail')
    const remove = page.getByRole('main').getByRole('button', { name: 'Delete', exact: true })
    await page.waitForFunction(
      (button) => button?.getAttribute('aria-disabled') === 'true',
      await remove.elementHandle(),
    )
    assert.equal(await remove.getAttribute('aria-description'), 'You may not: it needs guest.delete on /guests/mail')
    const stop = page.getByRole('main').getByRole('button', { name: 'Stop', exact: true })
    assert.equal(await stop.getAttribute('aria-disabled'), 'false')
    // Refusals stand on the page in words, and what would be refused cannot be pressed.
    await page.goto('/administration?tab=settings')
    await page
      .getByText(/may not|needs|lacks/)
      .first()
      .waitFor()
    await page.goto('/administration?tab=projects')
    const create = page.getByRole('button', { name: 'Create a project' })
    await page.waitForFunction(
      (button) => button?.getAttribute('aria-disabled') === 'true',
      await create.elementHandle(),
    )
    assert.equal(await create.getAttribute('aria-description'), 'You may not: it needs project.manage on /')
    // Nor make an image, until she may in a project; then there, and not for the cluster.
    await page.goto('/administration?tab=images')
    const upload = page.getByRole('button', { name: 'Upload an image' })
    await page.locator('button[aria-disabled="true"]', { hasText: 'Upload an image' }).waitFor()
    await cluster.backend.must('project.create', { body: { name: 'newsroom' } })
    const subject = { kind: 'user', name: 'carol' }
    await cluster.backend.must('permission.grant', {
      body: { subject, role: 'ProjectAdmin', path: '/projects/newsroom' },
    })
    await page.reload()
    await page.locator('button[aria-disabled="false"]', { hasText: 'Upload an image' }).waitFor()
    await upload.click()
    const uploading = page.getByRole('dialog')
    await uploading.getByLabel('File').setInputFiles({ name: 'small.img', mimeType: '', buffer: Buffer.alloc(512, 1) })
    const send = uploading.getByRole('button', { name: 'Upload an image' })
    assert.equal(await uploading.getByRole('combobox', { name: 'Project' }).inputValue(), 'newsroom')
    assert.equal(await send.isEnabled(), true)
    await uploading.getByRole('combobox', { name: 'Project' }).click()
    await page.getByRole('option', { name: 'newsroom' }).click()
    await uploading.getByText('You may not: it needs image.manage on /').waitFor()
    assert.equal(await send.isEnabled(), false)
    await page.goto('/administration?tab=projects')
    const projects = await cluster.backend.must('project.list')
    await create.click({ force: true })
    assert.equal(await page.getByRole('dialog').count(), 0)
    assert.deepEqual(await cluster.backend.must('project.list'), projects)
    await elsewhere.close()
  })

  test('a host is shut down after a look and called back, says what it can fail with, and is not dead', async () => {
    const { page } = browser
    const more = async (item: string) => {
      await page.getByRole('main').getByRole('button', { name: 'More', exact: true }).click()
      await page.getByRole('menuitem', { name: item }).click()
    }
    await page.goto('/hosts/h2')
    await more('Shut down')
    await choose('What follows', 'It boots again')
    await browser.check('shut a host down')
    await browser.picture('host-shutdown')
    await confirm('Shut down')
    await dialog().waitFor({ state: 'detached' })
    await more('Call the shutdown off')
    await confirm('Call the shutdown off')
    await dialog().waitFor({ state: 'detached' })
    await more('Fault domains')
    await fill('Fault domains', 'rack')
    await dialog().getByText('A list such as rack=r1').waitFor()
    await fill('Fault domains', 'rack=r9')
    await confirm('Save')
    await page.getByRole('main').getByText('r9').waitFor()
    await page.getByRole('main').getByRole('button', { name: 'More', exact: true }).click()
    const dead = page.getByRole('menuitem', { name: 'Confirm that it is dead' })
    assert.equal(await dead.getAttribute('aria-disabled'), 'true')
    await dead.getByText('It is heard from').waitFor()
    await page.keyboard.press('Escape')
  })

  test('groups, roles, tokens and projects are made, changed and deleted', async () => {
    await open('groups', 'careful')
    await browser.press('Create a group')
    await fill('Name', 'web-team')
    await choose('Members', 'alice')
    await browser.page.keyboard.press('Tab')
    await confirm('Create a group')
    await row('web-team').getByText('alice').waitFor()
    await browser.press('Delete: web-team')
    await confirm('Delete')
    await row('web-team').waitFor({ state: 'detached' })

    await browser.page.getByRole('tab', { name: 'Roles' }).click()
    const builtIn = browser.page.getByRole('button', { name: 'Delete: Administrator' })
    assert.equal(await builtIn.getAttribute('aria-disabled'), 'true')
    await browser.press('Create a role')
    await fill('Name', 'Looker')
    await dialog().getByRole('group', { name: 'host' }).getByLabel('view').check()
    await browser.check('create a role')
    await confirm('Create a role')
    await row('Looker').getByText('host.view').waitFor()

    await browser.page.getByRole('tab', { name: 'Tokens' }).click()
    await browser.press('Make a token')
    await choose('user', 'alice')
    await fill('Name', 'ci')
    await confirm('Make a token')
    await browser.see('It is shown this once')
    assert.match(await dialog().locator('code').innerText(), /^stead-/)
    await dialog().getByRole('button', { name: 'Close' }).last().click()
    await browser.press('Revoke: alice!ci')
    await confirm('Revoke')
    await browser.see('No tokens')

    await browser.page.getByRole('tab', { name: 'Projects' }).click()
    await browser.press('Create a project')
    await fill('Name', 'shop')
    await fill('Guests', '4')
    await fill('Memory (GiB)', '32')
    await browser.check('create a project')
    await confirm('Create a project')
    await row('shop').getByText('0 B of 32 GiB').waitFor()
    const { items } = await cluster.backend.must('project.list')
    assert.deepEqual(items.find(({ name }) => name === 'shop')?.quota, { guests: 4, memoryBytes: 32 * 2 ** 30 })
    await browser.press('Delete: shop')
    await dialog()
      .getByLabel(/type shop/)
      .fill('shop')
    await confirm('Delete')
    await row('shop').waitFor({ state: 'detached' })
  })

  test('a webhook is made, greeted and deleted; what takes nothing says why', async () => {
    const heard: string[] = []
    const hook = createServer((request, answer) => {
      heard.push(`${request.method} ${request.url} ${String(request.headers['stead-signature']).slice(0, 2)}`)
      answer.writeHead(204).end()
    }).listen(0, '127.0.0.1')
    await once(hook, 'listening')
    context.after(() => void hook.close())
    const url = `http://127.0.0.1:${(hook.address() as AddressInfo).port}/stead`
    await open('settings', 'Room and balance')
    await browser.page.getByLabel('Private networks that webhooks may reach').fill('127.0.0.1/32')
    await browser.press('Save')
    await browser.see('What this would do')
    await confirm('Save')
    await dialog().waitFor({ state: 'detached' })

    await open('webhooks', 'No webhooks')
    await browser.press('Make a webhook')
    await fill('Name', 'chat')
    await fill('Address', 'ftp://elsewhere')
    await dialog().getByText('must be an https:// address').waitFor()
    await fill('Address', url)
    await choose('Events', 'host.lost')
    await browser.page.keyboard.press('Tab')
    await browser.check('make a webhook')
    await confirm('Make a webhook')
    await browser.see('The secret of chat')
    assert.ok((await dialog().locator('code').innerText()).length > 20)
    await dialog().getByRole('button', { name: 'Close' }).last().click()
    await row('chat').getByText('nothing taken yet').waitFor()
    await browser.check('webhooks')
    await browser.picture('administration-webhooks')
    await browser.press('Test: chat')
    await confirm('Send a greeting')
    await dialog().getByText('It answered 204').waitFor()
    assert.deepEqual(heard, ['POST /stead t='])
    await browser.check('a webhook that answers')
    await dialog().getByRole('button', { name: 'Close' }).last().click()

    await browser.press('Change: chat')
    await fill('Address', url.replace('127.0.0.1', '127.0.0.2'))
    await confirm('Save')
    await dialog().waitFor({ state: 'detached' })
    browser.expect(/40\d|50\d/)
    await browser.press('Test: chat')
    await confirm('Send a greeting')
    await dialog().getByRole('alert').waitFor()
    await browser.check('a webhook that may not be reached')
    browser.expect(undefined)
    await dialog().getByRole('button', { name: 'Close' }).last().click()
    await browser.press('Delete: chat')
    await confirm('Delete')
    await browser.see('No webhooks')
  })

  const ofAuthority = 'a certificate is ordered of an authority, whose terms are shown first, and given up'
  test(ofAuthority, { skip: WITHOUT_AUTHORITY }, async () => {
    const authority = await startAuthority(context, { names: { port: 53 } })
    await cluster.backend.must('policy.set', { body: { outboundAllow: ['127.0.0.1/32'] } })
    await open('settings', "none: hosts show the cluster's own")
    await browser.press('Order')
    await fill('Names', '10.0.0.1')
    await dialog().getByText('must be a DNS name').waitFor()
    await fill('Names', 'stead.example.org')
    await fill('Directory', authority.directoryUrl)
    browser.expect(/40\d|50\d/)
    await confirm('Show the terms')
    await dialog().getByRole('alert').waitFor()
    browser.expect(undefined)
    await fill(
      "By whom the directory's own certificate is believed (PEM; empty: a public authority)",
      authority.authorityPem,
    )
    await confirm('Show the terms')
    await dialog().getByText('Do%20what%20thou%20wilt').waitFor()
    assert.ok(await dialog().getByRole('button', { name: 'Order', exact: true }).isDisabled())
    await choose('Proof', 'By DNS')
    await browser.check('order a certificate')
    await choose('Proof', 'At port 80')
    await dialog().getByLabel("I have read the authority's terms and agree to them").check()
    await confirm('Order')
    await dialog().waitFor({ state: 'detached' })
    const main = browser.page.getByRole('main')
    await main.getByText('is being asked for').waitFor()
    await main.getByText(authority.directoryUrl).waitFor()
    await browser.press('Give it up')
    await dialog().getByLabel('Have the authority revoke it').waitFor()
    await confirm('Give it up')
    await main.getByText("none: hosts show the cluster's own").waitFor()
  })

  test('keys that sign templates are trusted, and trusted no more', async () => {
    await open('settings', 'Room and balance')
    await browser.press('Trust a key')
    await fill('Name', 'releases')
    await fill('Public key', 'ssh-rsa AAAA')
    await dialog().getByText('must be an Ed25519 key').waitFor()
    await fill('Public key', `ssh-ed25519 ${'A'.repeat(68)} releases@example.org`)
    await browser.check('trust a key')
    await confirm('Trust a key')
    await browser.press('Remove the key releases')
    await confirm('Remove')
    await browser.see('No key is trusted yet.')
  })

  test('what a project used, an import that is called off, and the authority of the pages', async () => {
    await open('projects', 'default')
    await browser.press('Usage: default')
    await dialog()
      .getByRole('row', { name: /^All of it/ })
      .waitFor()
    await browser.check('usage')
    const download = browser.page.waitForEvent('download')
    await confirm('Save every hour (CSV)')
    assert.equal((await download).suggestedFilename(), 'usage-default.csv')
    await browser.page.keyboard.press('Escape')

    const blob = `sha256:${'a'.repeat(64)}`
    await cluster.backend.must('image.import', { body: { name: 'arch', blob, format: 'qcow2' } })
    await open('images', 'arch')
    await browser.check('an import')
    await browser.press(/^Call off: image.import arch/)
    await browser.page.getByRole('list', { name: 'Being imported' }).waitFor({ state: 'detached' })

    await open('settings', 'Room and balance')
    const certificate = browser.page.waitForEvent('download')
    await browser.press('Save its certificate')
    assert.equal((await certificate).suggestedFilename(), 'stead-authority.pem')
    await browser.press('Replace it')
    await dialog().getByText('Guests run on').waitFor()
    await browser.check('another authority')
    await confirm('Replace it')
    await dialog().waitFor({ state: 'detached' })
  })

  test('a file that is not what was announced is not sent', async () => {
    await open('images', 'No images')
    await browser.press('Upload an image')
    await dialog()
      .getByLabel('File')
      .setInputFiles({ name: 'Debian 12.iso', mimeType: '', buffer: Buffer.alloc(5_000_000, 1) })
    assert.equal(await dialog().getByLabel('Name', { exact: true }).inputValue(), 'debian-12')
    await fill('Its SHA-256, if somebody told it', 'f'.repeat(64))
    await browser.check('upload')
    await confirm('Upload an image')
    await browser.see('The file is not the one whose digest you gave')
    await browser.check('another digest')
    await confirm('Cancel')
  })

  test('what was done stands in the audit, whose chain is whole; the policy is changed, and HA disarmed after a look', async () => {
    // The newest first: what was done before is found by its name.
    await open('audit', 'policy.set')
    await dialog().waitFor({ state: 'detached' })
    await browser.page.getByLabel('What', { exact: true }).fill('group.delete')
    await browser.page
      .getByRole('button', { name: /^Show: entry/ })
      .first()
      .click()
    await dialog().getByText('web-team').first().waitFor()
    await browser.check('an entry of the audit')
    await browser.page.keyboard.press('Escape')
    await browser.press('Check its chain')
    await browser.see('The chain is whole on every host.')
    await browser.check('the chain of the audit')
    await browser.page.keyboard.press('Escape')
    const download = browser.page.waitForEvent('download')
    await browser.press('Save as a file')
    assert.equal((await download).suggestedFilename(), 'audit.jsonl')

    await open('settings', 'Room and balance')
    await browser.page.getByLabel('Hosts that may be lost at a time').fill('2')
    await browser.press('Save')
    await browser.see('What this would do')
    await confirm('Save')
    await dialog().waitFor({ state: 'detached' })
    const policy = async () =>
      (await cluster.backend.must('policy.show')) as { admission: { hostFailures: number }; armed: boolean }
    assert.equal((await policy()).admission.hostFailures, 2)
    await browser.press('Disarm HA')
    await browser.see('What this would do')
    await browser.check('disarm')
    await confirm('Disarm HA')
    await browser.page.getByRole('button', { name: 'Arm HA', exact: true }).waitFor()
    assert.equal((await policy()).armed, false)
    await browser.press('Arm HA')
    await confirm('Arm HA')
    await browser.page.getByRole('button', { name: 'Disarm HA', exact: true }).waitFor()
  })
})
