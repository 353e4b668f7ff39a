/** The web interface in a real browser, against the real API of a simulated cluster. */
import assert from 'node:assert/strict'
import { mkdtemp, readdir, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { suite, test } from 'node:test'
import {
  addShownUsers,
  codeOf,
  type ShownUsers,
  type SimulatedCluster,
} from '@stead/agent/backend/simulated-cluster-fixture.ts'
import { silent } from '@stead/agent/backend/backend-fixture.ts'
import { realClock } from '@stead/agent/real-clock.ts'
import { measureSimulatedCluster } from '@stead/agent/backend/simulated-metrics-fixture.ts'
import { webFiles } from '@stead/agent/http/web-files.ts'
import { startSimulatedSetup } from '@stead/agent/setup/simulated-setup-fixture.ts'
import { openSetupDoor } from '@stead/agent/setup/setup-door.ts'
import { SetupWork } from '@stead/agent/setup/setup-work.ts'
import { TestBrowser } from './support/browser.ts'
import { simulatedPages, TOKEN, type SimulatedPages } from './support/simulated-pages.ts'

const PASSWORD = 'correct horse battery'
const OTHER_PASSWORD = 'staple in another stable'

suite('the web interface', { timeout: 240_000 }, () => {
  let cluster: SimulatedCluster
  let users: ShownUsers
  let browser: TestBrowser
  let context: SimulatedPages['context']

  simulatedPages({ isSignedIn: false }, async (pages) => {
    ;({ cluster, browser, context } = pages)
    await measureSimulatedCluster(pages.context, cluster)
    users = await addShownUsers(cluster, PASSWORD)
  })

  const { open, row } = {
    open: async (path: string, sees: string | RegExp) => {
      await browser.page.goto(path)
      await browser.see(sees)
    },
    row: (name: string) => browser.page.getByRole('row').filter({ hasText: name }),
  }
  const fill = (label: string, text: string) => browser.page.getByLabel(label, { exact: true }).fill(text)
  const signIn = async (user: string, password: string) => {
    await fill('User', user)
    await fill('Password', password)
    await browser.press('Sign in')
  }
  const choose = async (item: string) => {
    await browser.page.getByRole('banner').getByRole('button').last().click()
    await browser.page.getByRole('menuitem', { name: item }).click()
  }

  test('who has a one-time password chooses his own, adds the second factor that is demanded, and comes by it', async () => {
    browser.expect(/401/)
    const { user, password } = users.bob
    await open('/', 'Sign in to Stead')
    await signIn(user, password)
    await browser.see('Choose your own password')
    await fill('New password', 'short')
    await fill('Once more', 'shor')
    await browser.see('The two are not the same')
    await browser.check('choose a password')
    browser.expect(/40[01]/)
    await fill('Once more', 'short')
    await browser.press('Change the password')
    await browser.see('The password has fewer than 12 characters')
    await fill('New password', PASSWORD)
    await fill('Once more', PASSWORD)
    await browser.press('Change the password')

    await browser.see('Add a second factor')
    await browser.page.getByRole('img', { name: 'The secret as a QR code' }).waitFor()
    await browser.check('add a second factor')
    await browser.picture('second-factor')
    const secret = await browser.page.getByText(/^[A-Z2-7]{32}$/).innerText()
    await fill('Code of the app', codeOf(secret))
    await browser.press('Add the app')
    await browser.see('Recovery codes')
    await browser.check('recovery codes')
    const codes = await browser.page.getByRole('listitem').allInnerTexts()
    assert.equal(codes.length, 10)
    await browser.press('I have kept them')
    await browser.see('Everything runs, but not everything is protected')

    await choose('Sign out')
    await browser.see('Sign in to Stead')
    await signIn(user, PASSWORD)
    await fill('Code of the app', '000000')
    await browser.press('Sign in')
    await browser.see('The code is not right, or was used already')
    await browser.check('second factor')
    await browser.press('Use a recovery code')
    await fill('Recovery code', codes[3] ?? '')
    await browser.press('Sign in')
    await browser.see('Everything runs, but not everything is protected')
    await choose('Sign out')
    await browser.see('Sign in to Stead')
  })

  test('asks who is there, refuses a wrong password, and opens the cluster with the right one, also with a token', async () => {
    await open('/', 'Sign in to Stead')
    await browser.press('Use a token')
    await fill('Token', 'wrong')
    await browser.press('Sign in')
    await browser.see('The token is not the right one')
    await browser.check('sign in with a token')
    await fill('Token', TOKEN)
    await browser.press('Sign in')
    await browser.see('Everything runs, but not everything is protected')
    await choose('Sign out')
    await browser.see('Sign in to Stead')

    await signIn(users.alice.user, 'not the right one')
    await browser.see('The user or the password is not right')
    await browser.check('sign in')
    await browser.picture('sign-in')
    await signIn(users.alice.user, PASSWORD)
    await browser.see('Everything runs, but not everything is protected')
    browser.expect(undefined)
  })

  test('in a new tab one is still signed in and may change things; another password ends other sessions', async () => {
    const elsewhere = await browser.page.context().browser()!.newContext({ baseURL: cluster.url })
    const other = await elsewhere.newPage()
    await other.goto('/')
    await other.getByLabel('User').fill(users.alice.user)
    await other.getByLabel('Password', { exact: true }).fill(PASSWORD)
    await other.getByRole('button', { name: 'Sign in', exact: true }).click()
    await other.getByText('Everything runs').waitFor()
    const tab = await browser.page.context().newPage()
    await tab.goto('/account')
    await tab.getByLabel('Present password').waitFor()
    const end = tab.getByRole('button', { name: /^End the session of/ })
    await end.waitFor()
    assert.equal(await end.count(), 1)
    await end.click()
    await end.waitFor({ state: 'detached' })
    await other.getByText('The session has ended').waitFor()
    await elsewhere.close()
    await tab.close()

    await open('/account', 'this one')
    await browser.check('account')
    await browser.picture('account')
    await fill('Present password', PASSWORD)
    await fill('New password', OTHER_PASSWORD)
    await fill('Once more', OTHER_PASSWORD)
    await browser.press('Change the password')
    await browser.see('Your password is changed')
  })

  test('every page can be used by everybody, in light and dark', async () => {
    await open('/', 'h1 loses its power')
    await browser.check('overview')
    await browser.picture('overview')
    const pages = [
      ['/guests', 'ci-runner-2', 'guests'],
      ['/guests/orders-db', 'Where it is', 'guest'],
      ['/hosts', 'It votes', 'hosts'],
      ['/hosts/h1', 'How full it is', 'host'],
      ['/volumes', 'legacy-erp', 'volumes'],
      ['/operations', 'vm.create', 'operations'],
      ['/events', 'guest.started', 'events'],
      ['/create/machine', 'Where it would go', 'create-machine'],
      ['/create/container', 'Where it would go', 'create-container'],
      ['/nowhere', 'There is no such page', 'no-such-page'],
    ] as const
    for (const [path, text, name] of pages) {
      await open(path, text)
      await browser.check(path)
      if (name !== 'no-such-page') await browser.picture(name)
    }
    await browser.page.emulateMedia({ colorScheme: 'dark' })
    await open('/guests', 'ci-runner-2')
    await browser.check('guests, dark')
    await open('/', 'h1 loses its power')
    await browser.check('overview, dark')
    await browser.picture('overview-dark')
    await browser.page.emulateMedia({ colorScheme: 'light' })
  })

  test('a guest shows its hardware, disks, snapshots, options, history and why it is where it is', async () => {
    await open('/guests/orders-db', 'Where it is')
    const tabs = [
      ['Hardware', 'Can be moved live'],
      ['Disks', 'in sync'],
      ['Snapshots', 'No snapshots'],
      ['Options', 'The cluster keeps it'],
      ['History', /orders-db runs on/],
      ['Why', 'Which hosts were thought of'],
    ] as const
    for (const [tab, text] of tabs) {
      await browser.page.getByRole('tab', { name: tab }).click()
      await browser.see(text)
      await browser.check(tab)
    }
    await browser.picture('guest-why')
  })

  test('why something happened, and what the guests of a host use', async () => {
    await open('/events', 'guest.started')
    await browser.page.getByLabel('Filter').fill('guest.started')
    await browser.press(/^Why\? /)
    await browser.see('The decision behind it')
    await browser.see('What came before')
    await browser.check('an event explained')
    await browser.page.keyboard.press('Escape')
    await open('/hosts/h1', 'How full it is')
    await browser.page.getByRole('tab', { name: 'Use' }).click()
    await browser.see('Promised to its containers')
    await browser.page.getByRole('rowheader', { name: 'memory' }).first().waitFor()
    await browser.check('use of a host')
  })

  test('finds everything with the keyboard', async () => {
    await open('/guests', 'ci-runner-2')
    await browser.page.keyboard.press('Control+k')
    await browser.page.getByRole('combobox', { name: 'Search everything' }).fill('production web')
    await browser.page.getByRole('option', { name: /web-2/ }).waitFor()
    await browser.check('palette')
    await browser.picture('palette')
    await browser.page.keyboard.press('ArrowDown')
    await browser.page.keyboard.press('Enter')
    await browser.page.waitForURL('**/guests/web-2')
  })

  test('stops a guest after saying what that does, and starts it again', async () => {
    await open('/guests/git', 'Where it is')
    const start = browser.page.getByRole('button', { name: 'Start', exact: true })
    assert.equal(await start.getAttribute('aria-disabled'), 'true')
    assert.equal(await start.getAttribute('aria-description'), 'It runs, or is about to')
    await browser.press('Stop')
    await browser.see('What this would do')
    await browser.check('stop')
    await browser.picture('guest-stop')
    await browser.page.getByRole('dialog').getByRole('button', { name: 'Stop', exact: true }).click()
    await browser.page.getByRole('main').getByText('stopped').first().waitFor()
    await browser.press('Start')
    await browser.page.getByRole('main').getByText('running').first().waitFor()
  })

  test('makes a machine, having said where it would go; deletes it only by its name', async () => {
    await open('/create/machine', 'Where it would go')
    await browser.press('Create')
    await open('/create/machine', 'Where it would go')
    await fill('Name', 'Not a name')
    await browser.see('must be a DNS label')
    await fill('Name', 'wiki')
    await browser.page.getByLabel('Set it up with cloud-init').check()
    await fill('User', 'Alice')
    await browser.see('must be a user name')
    await fill('User', 'alice')
    await fill('SSH keys', 'ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIEXAMPLE alice@laptop')
    await browser.press('Add a disk')
    await browser.page.getByRole('group', { name: 'Disk 1' }).getByLabel('Disk (GiB)').fill('100')
    await browser.page
      .getByText(/memory free/)
      .first()
      .waitFor()
    await browser.check('create, filled in')
    await browser.picture('create-filled-in')
    await browser.page.getByRole('main').getByRole('button', { name: 'Create', exact: true }).click()
    await browser.page.waitForURL('**/guests/wiki')
    await browser.page.getByRole('main').getByText('running').first().waitFor()

    await browser.press('Delete')
    const dialog = browser.page.getByRole('dialog')
    const confirm = dialog.getByRole('button', { name: 'Delete', exact: true })
    await dialog.getByText('What this would do').waitFor()
    assert.equal(await confirm.isDisabled(), true)
    await dialog.getByLabel(/type wiki/).fill('wiki')
    await browser.check('delete')
    await browser.picture('guest-delete')
    await confirm.click()
    await browser.see('There is no guest wiki')
  })

  test('a table scrolls by itself and draws the rows that are seen: ten thousand cost what ten do', async () => {
    await browser.page.setViewportSize({ width: 1360, height: 480 })
    await open('/guests', 'ci-runner-1')
    const table = browser.page.getByRole('table')
    const { seenPx, wholePx } = await table.evaluate((one) => ({ seenPx: one.clientHeight, wholePx: one.scrollHeight }))
    assert.ok(seenPx < wholePx, `${seenPx} of ${wholePx} pixels are seen`)
    await table.evaluate((one) => one.scrollTo(0, one.scrollHeight))
    await row('web-2').waitFor()
    await browser.page.getByLabel('Filter by name, host, state or tag').fill('ci-runner-2')
    await row('ci-runner-2').waitFor()
    await browser.check('filtered while it is scrolled down')
    await browser.page.getByLabel('Filter by name, host, state or tag').fill('no such guest')
    await browser.press('Show all')
    await row('ci-runner-1').waitFor()
    await browser.page.setViewportSize({ width: 1360, height: 850 })
  })

  test('acts on several guests that were chosen from the sorted and filtered table', async () => {
    await open('/guests', 'ci-runner-2')
    await browser.page.getByRole('columnheader', { name: 'Memory' }).getByRole('button').click()
    await browser.page.getByLabel('Filter by name').fill('development')
    await row('orders-db').waitFor({ state: 'detached' })
    await browser.page.getByLabel('Choose ci-runner-2').check()
    await browser.page.getByLabel('Choose scratch').check()
    await browser.see('2 chosen')
    await browser.check('guests, chosen')
    await browser.press('Start')
    await row('ci-runner-2').getByText('running').waitFor()
    await row('scratch').getByText('running').waitFor()
  })

  test('speaks French and Polish, and stays usable on a phone', async () => {
    await open('/', 'h1 loses its power')
    for (const [language, text] of [
      ['Polski', 'Wszystko działa, ale nie wszystko jest chronione'],
      ['Français', 'Tout tourne, mais tout n’est pas protégé'],
      ['English', 'Everything runs, but not everything is protected'],
    ] as const) {
      await browser.page.getByRole('banner').getByRole('button').last().click()
      await browser.page.getByRole('menuitem', { name: language }).click()
      await browser.see(text.replace('’', "'"))
    }
    await browser.page.setViewportSize({ width: 390, height: 800 })
    await open('/guests', 'ci-runner-2')
    await browser.check('guests on a phone')
    await browser.picture('phone-guests')
    await browser.press('Open the menu')
    await browser.page.getByRole('navigation').getByText('Overview').click()
    await browser.see('Everything runs, but not everything is protected')
    await browser.check('overview on a phone')
    await browser.picture('phone-overview')
    await browser.page.setViewportSize({ width: 1360, height: 850 })
  })

  test('shows a host that dies and its guests that return elsewhere, without being asked to', async () => {
    await open('/', 'h1 loses its power')
    const lost = cluster.world.hostIds.find((id) => [...cluster.world.host(id).processes].length > 0)
    assert.ok(lost)
    cluster.world.host(lost).powerOff()
    await browser.see('One host is lost')
    await browser.see(/recover|restarted|runs on/)
    await browser.check('a host is lost')
    cluster.world.host(lost).powerOn()
    await browser.page.getByText('One host is lost').waitFor({ state: 'detached' })
  })

  test('a host of no cluster asks what it is to be, and nothing is begun before the summary is confirmed', async () => {
    const { page } = browser
    const setup = await startSimulatedSetup(context, { code: 'abcd-efgh-jkmn', web: webFiles(), log: silent })
    const step = (name: string) => page.getByRole('region', { name })
    const next = () => page.getByRole('button', { name: 'Next' }).click()
    browser.expect(/401/)
    await page.goto(`${setup.url}#code=wrong`)
    await browser.see('This is not the code')
    await browser.check('the code of a set-up')
    await fill('Code', 'abcd-efgh-jkmn')
    await page.getByRole('button', { name: 'Go on' }).click()
    await browser.see('What is this host to be?')
    assert.equal(new URL(page.url()).hash, '')
    browser.expect(undefined)
    await browser.check('what a host is to be')
    await browser.picture('setup-what')
    await next()

    await page.getByRole('combobox', { name: 'SAN' }).click()
    await page.getByRole('option', { name: /10.0.1.1/ }).click()
    await page.getByRole('combobox', { name: 'RAN' }).click()
    await page.getByRole('option', { name: /10.0.2.1/ }).click()
    await browser.see('ens1f1 has 100 Mbit/s; disks want 1 Gbit/s or more.')
    await page.getByRole('button', { name: 'Make two cards one port' }).click()
    await page.getByRole('combobox', { name: 'Cards' }).click()
    for (const card of ['eno1', 'eno2']) await page.getByRole('option', { name: card }).click()
    await page.keyboard.press('Escape')
    await browser.see('One card carries, the others wait')
    await browser.check('networks of a set-up')
    await browser.picture('setup-networks')
    await next()
    await browser.see('Not in use: nvme1n1')
    await browser.check('disks of a set-up')
    await browser.picture('setup-disks')
    await next()
    await next()
    await step('Cluster').getByRole('status').getByText('cluster').waitFor()
    await fill('Name of the new cluster', 'demo')
    await fill('Address of the cluster', '192.0.2.100')
    await fill('First administrator', 'ada')
    await browser.check('cluster of a set-up')
    await next()

    await browser.see('h1 will be the first host of the new cluster demo.')
    const begin = page.getByRole('button', { name: 'Set this host up' })
    assert.equal(await begin.isDisabled(), true, 'a check has failed')
    await step('Networks').getByText('ens1f1 has 100 Mbit/s').waitFor()
    await browser.check('summary of a set-up')
    await browser.picture('setup-summary')
    assert.equal(setup.begun.length, 0, 'nothing was changed by looking')
    await page.getByLabel('Go on in spite of this (ran link)').check()
    await begin.click()
    await browser.see('One-time password of ada')
    await browser.see('only-once-7Q')
    await browser.see('Token of the witness')
    await browser.check('a host that is set up')
    await browser.picture('setup-done')
    assert.deepEqual(
      setup.begun.map(
        (answers) =>
          answers.kind === 'init' && [answers.cluster, answers.clusterAddress, answers.addresses, answers.invite],
      ),
      [['demo', '192.0.2.100', { lan: '192.0.2.1', san: '10.0.1.1', ran: '10.0.2.1' }, ['compute', 'witness']]],
    )
    assert.deepEqual(
      setup.begun.map(({ bonds }) => bonds.map(({ name, ports, mode }) => [name, ports, mode])),
      [[['bond0', ['eno1', 'eno2'], 'active-backup']]],
    )
  })

  test('a host joins by a token; what is no token is said, and the answers can be changed', async () => {
    const { page } = browser
    const setup = await startSimulatedSetup(context, { code: 'abcd-efgh-jkmn', web: webFiles(), log: silent })
    const next = () => page.getByRole('button', { name: 'Next' }).click()
    browser.expect(/400/)
    await page.goto(`${setup.url}#code=abcd-efgh-jkmn`)
    await page.getByLabel('One more of a cluster').check()
    await fill('Token', 'something else')
    for (const _ of ['what', 'networks', 'disks']) await next()
    await browser.see('This is no token')
    await browser.check('no token')
    browser.expect(undefined)
    await page.getByRole('button', { name: '1. What it is to be' }).click()
    await fill('Token', 'stead-join-abc')
    for (const _ of ['what', 'networks', 'disks']) await next()
    await browser.see('h1 will be one more host of the cluster demo.')
    await browser.see('0.21 ms, jitter 0.05 ms')
    await browser.check('summary of a host that joins')
    await browser.picture('setup-join')
    await page.getByRole('button', { name: 'Set this host up' }).click()
    await browser.see('This host is set up')
    assert.deepEqual(
      setup.begun.map(({ kind }) => kind),
      ['join'],
    )
  })

  test('at the door of a real host the checks are those of this machine, and looking changes nothing', async () => {
    const stateDir = await mkdtemp(join(tmpdir(), 'stead-web-setup-'))
    context.after(() => rm(stateDir, { recursive: true, force: true }))
    const transport = { send: () => Promise.reject(new Error('no agent starts here')) }
    const work = new SetupWork({ stateDir, nativeDir: '/nowhere' }, { stateDir, transport, clock: realClock })
    const door = await openSetupDoor({ addresses: ['127.0.0.1'], port: 0, work, clock: realClock, log: silent })
    const stopping = new AbortController()
    const served = door.serve(stopping.signal)
    const [address = ''] = door.pages
    const visitor = await TestBrowser.open(new URL(address).origin, { elsewhere: /^https:\/\/127\.0\.0\.1:/ })
    try {
      const { page } = visitor
      await page.goto(address)
      await visitor.see('What is this host to be?')
      await visitor.press('Next')
      await page.getByLabel('Name of this host').fill('h1')
      await visitor.press('Next')
      await visitor.press('Next')
      await page.getByLabel('Name of the new cluster').fill('demo')
      await visitor.press('Next')
      await visitor.see('h1 will be the first host of the new cluster demo.')
      await visitor.see('this host is of no cluster')
      await visitor.check('the summary of a real host')
    } finally {
      await visitor.close()
      stopping.abort()
      await served
    }
    assert.deepEqual(await readdir(stateDir), [])
  })
})
