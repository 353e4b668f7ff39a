/** Security keys in a real browser, with an authenticator that the browser plays. */
import assert from 'node:assert/strict'
import { after, before, suite, test } from 'node:test'
import type { CDPSession } from 'playwright-core'
import {
  addShownUsers,
  codeOf,
  startSimulatedCluster,
  type SimulatedCluster,
} from '@stead/agent/backend/simulated-cluster-fixture.ts'
import { webFiles } from '@stead/agent/http/web-files.ts'
import { TestBrowser } from './support/browser.ts'

const PASSWORD = 'correct horse battery'

/** In the page: answers for another challenge, for a changed one, for the right one, and for that once more. */
const ANSWERS = `(async () => {
  const headers = { 'content-type': 'application/json' }
  const post = (path, body) => fetch(path, { method: 'POST', headers, body: JSON.stringify(body) })
  const asked = await (await post('/v1/auth/key', {})).json()
  const other = await (await post('/v1/auth/key', {})).json()
  const publicKey = PublicKeyCredential.parseRequestOptionsFromJSON(asked.options)
  const response = (await navigator.credentials.get({ publicKey })).toJSON()
  const statuses = []
  for (const sealed of [other.sealed, asked.sealed + 'x', asked.sealed, asked.sealed])
    statuses.push((await post('/v1/auth/key/answer', { response, sealed, form: 'token' })).status)
  return statuses
})()`

suite('security keys in the web interface', { timeout: 180_000 }, () => {
  const ends: (() => void | Promise<void>)[] = []
  const context = { after: (end: () => void | Promise<void>) => void ends.push(end) }
  let cluster: SimulatedCluster
  let browser: TestBrowser
  let devices: CDPSession
  let authenticatorId = ''
  let recoveryCodes: string[] = []

  before(async () => {
    cluster = await startSimulatedCluster(context, { token: 'test-token', web: webFiles() })
    await addShownUsers(cluster, PASSWORD)
    // Browsers make keys for names only.
    browser = await TestBrowser.open(cluster.url.replace('127.0.0.1', 'localhost'), {
      elsewhere: /^http:\/\/localhost:/,
    })
    context.after(() => browser.close())
    browser.expect(/40[0139]/)
    devices = await browser.page.context().newCDPSession(browser.page)
    await devices.send('WebAuthn.enable')
    await plugIn()
  })
  after(async () => {
    for (const end of ends.toReversed()) await end()
  })

  const plugIn = async () => {
    const options = {
      protocol: 'ctap2',
      transport: 'internal',
      hasResidentKey: true,
      hasUserVerification: true,
    } as const
    const added = await devices.send('WebAuthn.addVirtualAuthenticator', {
      options: { ...options, isUserVerified: true, automaticPresenceSimulation: true },
    })
    authenticatorId = added.authenticatorId
  }
  const credentials = async () => (await devices.send('WebAuthn.getCredentials', { authenticatorId })).credentials
  const signIn = async () => {
    await browser.page.getByLabel('User').fill('alice')
    await browser.page.getByLabel('Password', { exact: true }).fill(PASSWORD)
    await browser.press('Sign in')
  }
  const signOut = async () => {
    await browser.page.getByRole('banner').getByRole('button').last().click()
    await browser.page.getByRole('menuitem', { name: 'Sign out' }).click()
    await browser.see('Sign in to Stead')
  }
  const isIn = () => browser.page.getByRole('banner').waitFor()

  test('a key is added, with recovery codes, and its name is shown', async () => {
    await browser.page.goto('/')
    await signIn()
    await isIn()
    await browser.page.goto('/account')
    await browser.press('Add a security key')
    await browser.page.getByLabel('Name of the key').fill('blue one')
    await browser.check('add a security key')
    await browser.press('Add a security key')
    await browser.see('Recovery codes')
    recoveryCodes = await browser.page.getByText(/^([a-z2-7]{4}-){3}[a-z2-7]{4}$/).allInnerTexts()
    assert.equal(recoveryCodes.length, 10)
    await browser.press('I have kept them')
    await browser.see('blue one')
    await browser.check('account with a key')
    assert.equal((await credentials()).length, 1)
  })

  test('after the password the key is asked for, and one that is somebody else\u2019s or has been copied opens nothing', async () => {
    await signOut()
    await signIn()
    await browser.see('Your browser asks for the key')
    // What lies under the pointer has other colours.
    await browser.page.mouse.move(0, 0)
    await browser.check('second factor by key')
    await browser.press('Use a security key')
    await isIn()
    const [known] = await credentials()
    assert.ok(known && known.signCount > 0)

    // A copy of the key, whose counter is behind.
    await devices.send('WebAuthn.removeCredential', { authenticatorId, credentialId: known.credentialId })
    await devices.send('WebAuthn.addCredential', { authenticatorId, credential: { ...known, signCount: 0 } })
    await signOut()
    await signIn()
    await browser.press('Use a security key')
    await browser.see('The code is not right, or was used already')
    await devices.send('WebAuthn.removeCredential', { authenticatorId, credentialId: known.credentialId })
    await devices.send('WebAuthn.addCredential', {
      authenticatorId,
      credential: { ...known, signCount: known.signCount + 50 },
    })
    await browser.press('Use a security key')
    await isIn()
  })

  test('the key alone signs in, without name or password; without PIN or finger, or after the user is disabled, it does not', async () => {
    await signOut()
    await browser.press('Sign in with a passkey')
    await isIn()
    await browser.page.goto('/account')
    await browser.see('alice')
    await signOut()
    await devices.send('WebAuthn.setUserVerified', { authenticatorId, isUserVerified: false })
    await browser.press('Sign in with a passkey')
    await browser.see('The browser has given no answer of a key')
    await devices.send('WebAuthn.setUserVerified', { authenticatorId, isUserVerified: true })
    await cluster.backend.must('user.set', { params: { user: 'alice' }, body: { disabled: true } })
    await browser.press('Sign in with a passkey')
    await browser.see('The security key opens nothing here')
    await cluster.backend.must('user.set', { params: { user: 'alice' }, body: { disabled: false } })
  })

  test('an answer of a key is good once, and for what it was asked only', async () => {
    await browser.page.goto('/')
    const statuses = await browser.page.evaluate(ANSWERS)
    assert.deepEqual(statuses, [401, 401, 200, 401])
  })

  test('who has lost the key comes in by a recovery code, adds an app beside it, and removes the key', async () => {
    await devices.send('WebAuthn.removeVirtualAuthenticator', { authenticatorId })
    await browser.page.goto('/')
    await signIn()
    await browser.press('Use a recovery code')
    await browser.page.getByLabel('Recovery code').fill(recoveryCodes[0] ?? '')
    await browser.press('Sign in')
    await isIn()
    await browser.page.goto('/account')
    await browser.press('Add the app')
    const secret = await browser.page.getByText(/^[A-Z2-7]{32}$/).innerText()
    await browser.page.getByLabel('Code of the app').fill(codeOf(secret))
    await browser.press('Add the app')
    const [recovery = ''] = await browser.page.getByRole('listitem').allInnerTexts()
    await browser.press('I have kept them')
    await browser.page.getByRole('button', { name: 'Remove the key blue one' }).click()
    await browser.page.getByText('blue one').waitFor({ state: 'detached' })
    await signOut()
    await signIn()
    await browser.see('The six digits that it shows now')
    assert.equal(await browser.page.getByText('Use a security key').count(), 0)

    await browser.press('Use a recovery code')
    await browser.page.getByLabel('Recovery code').fill(recovery)
    await browser.press('Sign in')
    await isIn()
    await browser.page.goto('/account')
    await browser.press('Remove all second factors')
    const dialog = browser.page.getByRole('dialog')
    await browser.check('all second factors are to go')
    await dialog.getByRole('button', { name: 'Remove all second factors' }).click()
    await browser.see('None: your password alone opens your account.')
    await signOut()
    await signIn()
    await isIn()
  })

  test('at an address that is no name no key can be used, and that is said', async () => {
    const answer = await fetch(`${cluster.url}/v1/auth/key`, {
      method: 'POST',
      headers: { 'content-type': 'application/json' },
      body: '{}',
    })
    assert.equal(answer.status, 409)
    assert.match(((await answer.json()) as { detail: string }).detail, /called by a name/)
  })
})
