/** The pages about what can fail, in a real browser, against the real API of a simulated cluster. */
import assert from 'node:assert/strict'
import { suite, test } from 'node:test'
import { setTimeout as sleep } from 'node:timers/promises'
import type { SimulatedCluster } from '@stead/agent/backend/simulated-cluster-fixture.ts'
import type { HostId } from '@stead/core/model/ids.ts'
import type { TestBrowser } from './support/browser.ts'
import { simulatedPages } from './support/simulated-pages.ts'

suite('what can fail', { timeout: 240_000 }, () => {
  let cluster: SimulatedCluster
  let browser: TestBrowser

  simulatedPages({ isSignedIn: true }, async (pages) => {
    ;({ cluster, browser } = pages)
    for (const host of ['h1', 'h2'])
      await cluster.backend.must('host.set', { params: { host }, body: { faultDomains: { rack: 'r1' } } })
  })

  const open = async (path: string, sees: string | RegExp) => {
    await browser.page.goto(path)
    await browser.see(sees)
  }
  const button = (name: string | RegExp) => browser.page.getByRole('button', { name, exact: true })
  const outcome = () => browser.page.getByRole('region', { name: 'What this would do' })

  test('on the map one chooses what fails, and sees who goes down, for how long and where it returns', async () => {
    await open('/what-if', 'Choose what fails')
    await browser.check('map')
    await browser.picture('what-if')
    await button('host h1').click()
    await outcome().getByText('What happens when').waitFor()
    const foreseen = await cluster.backend.must('foresight.ask', {
      body: { suppose: { kind: 'host-down', hosts: ['h1'] } },
    })
    assert.ok(foreseen.guests.length > 0)
    for (const { name, from, to } of foreseen.guests)
      await outcome().getByRole('listitem').filter({ hasText: name }).getByText(`${from} → ${to}`).waitFor()
    assert.equal(await button('host h1').getAttribute('aria-pressed'), 'true')
    await browser.check('a host fails')
    await browser.picture('what-if-host')
    await browser.page.emulateMedia({ colorScheme: 'dark' })
    await open('/what-if?what=host:h1', 'What happens when')
    await browser.check('a host fails, dark')
    await browser.picture('what-if-dark')
    await browser.page.emulateMedia({ colorScheme: 'light' })
    await button('Put it right again').click()
    await browser.see('Choose what fails')
  })

  test('the map is walked by arrow keys; its address keeps what is chosen', async () => {
    await open('/what-if', 'Choose what fails')
    await button('host h1').focus()
    await browser.page.keyboard.press('ArrowDown')
    await browser.page.keyboard.press('Enter')
    await browser.page.waitForURL('**/what-if?what=storage:h1'.replace(':', '%3A'))
    await browser.page.reload()
    await browser.see('If storage of h1 fails')
    await browser.page.keyboard.press('Escape')
    await button('LAN cable of h2').click()
    await browser.see('If LAN cable of h2 fails')
    await button('rack r1').click()
    await outcome().getByText('nothing can be decided').first().waitFor()
    await browser.check('a rack fails')
  })

  test('the same as a table, the worst first; and hosts that fail together', async () => {
    await open('/what-if', 'Choose what fails')
    await browser.page.getByText('Table', { exact: true }).click()
    const rows = browser.page.getByRole('row')
    await rows.filter({ hasText: 'rack r1' }).waitFor()
    assert.match(await rows.nth(1).innerText(), /^rack r1/)
    await browser.page.getByRole('table').getByRole('button', { name: 'host h2' }).click()
    await browser.see('If host h2 fails')
    await browser.check('table of failures')
    await browser.page.getByLabel('Several hosts at once').first().click()
    await browser.page.getByRole('option', { name: 'h3' }).click()
    await browser.see('If host h2, h3 fails')
  })

  test('the cluster is saved as a file, for the same questions elsewhere', async () => {
    await open('/what-if', 'Choose what fails')
    const download = browser.page.waitForEvent('download')
    await button('Save the cluster as a file').click()
    assert.equal((await download).suggestedFilename(), 'cluster.json')
  })

  test('on a phone the map stands above what would come of it', async () => {
    await browser.page.setViewportSize({ width: 390, height: 800 })
    await open('/what-if?what=host:h1', 'What happens when')
    await browser.check('map on a phone')
    await browser.picture('phone-what-if')
    await browser.page.setViewportSize({ width: 1360, height: 850 })
  })

  test('the overview leads to each failure', async () => {
    await open('/', 'h1 loses its power')
    await browser.page.getByRole('link', { name: 'h1 loses its power' }).click()
    await browser.see('If host h1 fails')
    await open('/hosts/h2', 'How full it is')
    await browser.press('What if?')
    await browser.see('If host h2 fails')
  })

  test('networks: which carries what, by which ports; a cable that is pulled is named, and leads to the map', async () => {
    await open('/networks', 'LAN: guests and people')
    const san = browser.page.getByRole('region', { name: 'SAN: guests to storage' }).first()
    await san.getByText('Every link is up, and every host hears every other one.').waitFor()
    const h2 = san.getByRole('row').filter({ has: browser.page.getByRole('rowheader', { name: 'h2' }) })
    assert.match(
      await h2.innerText(),
      /10\.77\.0\.\d\s+bond0 bond over ens1f0, ens1f1\s+up, 25 Gbit\/s\s+9000\s+every other host/,
    )
    await browser.press('Measure latency and loss')
    await browser.see('0.12 ms to')
    await browser.check('networks')
    await browser.picture('networks')
    await browser.page.getByLabel('Filter by guest, MAC or address').fill('nobody')
    await browser.see('Nothing matches')

    cluster.world.network.cut('h2' as HostId, ['san'])
    await san.getByText('bond0 of h2 has no link.').waitFor()
    await san.getByText('not h2').first().waitFor()
    await browser.check('a network that is cut')
    await browser.picture('networks-cut')
    cluster.world.network.mend('h2' as HostId)
    await san.getByText('Every link is up').waitFor()
    await san.getByRole('link', { name: 'What if the SAN cable of h2 fails?' }).click()
    await browser.see('If SAN cable of h2 fails')
  })

  const tab = (name: string) => browser.page.getByRole('tab', { name, exact: true }).click()

  /** Where guests that start at the same time begin is chance. */
  async function bringTogether(guest: string, other: string): Promise<void> {
    const hostOf = async (name: string) =>
      (await cluster.backend.must('guest.show', { params: { guest: name } })).host ?? undefined
    const to = await hostOf(other)
    assert.ok(to)
    if ((await hostOf(guest)) === to) return
    await cluster.backend.must('guest.migrate', { params: { guest }, body: { to } })
    for (let looks = 0; looks < 300 && (await hostOf(guest)) !== to; looks++) await sleep(50)
    assert.equal(await hostOf(guest), to)
  }

  test('a rule is made after it is said what it would do, and deleted again', async () => {
    await bringTogether('web-2', 'web-1')
    await open('/availability', 'What it would bear')
    await browser.check('state of availability')
    await browser.picture('availability')
    await tab('Rules')
    await browser.see('No rules')
    await browser.check('no rules')
    await browser.press('Create a rule')
    const dialog = browser.page.getByRole('dialog')
    await dialog.getByLabel('Name').fill('web-apart')
    await dialog.getByText('must name at least 2 guests').waitFor()
    const create = dialog.getByRole('button', { name: 'Create a rule' })
    assert.equal(await create.isDisabled(), true)
    await dialog.getByLabel('Guests').first().click()
    for (const guest of ['web-1', 'web-2']) await browser.page.getByRole('option', { name: guest }).click()
    await browser.page.keyboard.press('Tab')
    await dialog.getByText('What this would do').waitFor()
    await dialog.getByText('1 guest moved without a break').waitFor()
    await browser.check('create a rule')
    await browser.picture('rule')
    await create.click()
    await browser.see('web-1 and web-2 each run on another host')
    await browser.check('rules')
    const { items } = await cluster.backend.must('rule.list')
    assert.deepEqual(
      items.map(({ name, guests }) => [name, guests]),
      [['web-apart', ['web-1', 'web-2']]],
    )

    await browser.press('Change the rule web-apart')
    await dialog.getByLabel('Why it is there').fill('so that one of them stays')
    await dialog.getByLabel('Guests').first().click()
    await browser.page.getByRole('option', { name: 'git' }).click()
    await browser.page.keyboard.press('Tab')
    await dialog.getByText('What this would do').waitFor()
    await browser.check('change a rule')
    await browser.picture('rule-change')
    await dialog.getByRole('button', { name: 'Save' }).click()
    await browser.see('web-1, web-2 and git each run on another host')
    const rule = await cluster.backend.must('rule.show', { params: { rule: 'web-apart' } })
    assert.deepEqual([rule.guests, rule.comment], [['web-1', 'web-2', 'git'], 'so that one of them stays'])

    browser.expect(/409/)
    await browser.press('Create a rule')
    await dialog.getByLabel('Name').fill('web-together')
    await dialog.getByLabel('Kind').first().click()
    await browser.page.getByRole('option', { name: 'together', exact: true }).click()
    await dialog.getByLabel('Guests').first().click()
    for (const guest of ['web-1', 'web-2']) await browser.page.getByRole('option', { name: guest }).click()
    await dialog
      .getByText(/must be .*together.* and .*apart/)
      .first()
      .waitFor()
    await browser.page.keyboard.press('Escape')
    await dialog.getByRole('button', { name: 'Cancel' }).click()

    browser.expect(undefined)
    await browser.press('Delete the rule web-apart')
    await dialog.getByText('What this would do').waitFor()
    await dialog.getByRole('button', { name: 'Delete', exact: true }).click()
    await browser.see('No rules')
  })

  test('a failover is drawn from its events, and its decision tells who was thought of', async () => {
    const lost = cluster.world.hostIds.find((id) => [...cluster.world.host(id).processes].length > 0)
    assert.ok(lost)
    await open('/availability?tab=failovers', 'No host was lost lately')
    await browser.check('no failovers')
    cluster.world.host(lost).powerOff()
    await browser.see(`${lost} was lost`)
    const started = browser.page.getByRole('row').filter({ hasNotText: '–' }).filter({ hasText: '→' })
    await started.first().waitFor()
    await browser.check('failovers')
    await browser.picture('failovers')
    await tab('Decisions')
    await browser.page.getByLabel('Filter by guest').fill('recover')
    await browser.see('Made again with the code that runs now: the same.')
    await browser.page.getByRole('cell', { name: 'chosen' }).first().waitFor()
    await browser.page.getByText(`${lost} is lost`).first().waitFor()
    await browser.check('decisions')
    await browser.picture('decisions')
    cluster.world.host(lost).powerOn()
  })
  test('a start that would leave guests without a place is refused with the reason, and done for who accepts that', async () => {
    await cluster.backend.must('policy.set', { body: { admission: { hostFailures: 2, onBreach: 'refuse' } } })
    await open('/guests/scratch', 'Where it is')
    browser.expect(/409/)
    await button('Start').click()
    const dialog = browser.page.getByRole('dialog')
    await dialog.getByRole('alert').getByText('would have no place').first().waitFor()
    await browser.check('a start that the policy refuses')
    await dialog.getByLabel(/^Do it all the same/).check()
    await dialog.getByRole('button', { name: 'Start', exact: true }).click()
    await dialog.waitFor({ state: 'detached' })
    await browser.page.getByRole('main').getByText('running').first().waitFor()
    browser.expect(undefined)
  })
})
