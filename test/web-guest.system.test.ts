/** A guest's page in a real browser, against the real API of a simulated cluster: all that can be changed of a guest. */
import assert from 'node:assert/strict'
import { after, before, suite, test } from 'node:test'
import {
  addShownGuests,
  startSimulatedCluster,
  type SimulatedCluster,
} from '@stead/agent/backend/simulated-cluster-fixture.ts'
import { webFiles } from '@stead/agent/http/web-files.ts'
import { TestBrowser } from './support/browser.ts'

const TOKEN = 'test-token'

suite("a guest's page", { timeout: 300_000 }, () => {
  const ends: (() => void | Promise<void>)[] = []
  let cluster: SimulatedCluster
  let browser: TestBrowser

  before(async () => {
    cluster = await startSimulatedCluster({ after: (end) => void ends.push(end) }, { token: TOKEN, web: webFiles() })
    await addShownGuests(cluster)
    browser = await TestBrowser.open(cluster.url, { token: TOKEN })
    ends.push(() => browser.close())
  })
  after(async () => {
    for (const end of ends.toReversed()) await end()
  })

  const dialog = () => browser.page.getByRole('dialog')
  const main = () => browser.page.getByRole('main')
  const open = async (guest: string, tab: string, sees: string | RegExp) => {
    await browser.page.goto(`/guests/${guest}?tab=${tab}`)
    await main().getByText(sees).first().waitFor()
  }
  const fill = (label: string, text: string) => dialog().getByLabel(label, { exact: true }).fill(text)
  const confirm = async (button: string) => {
    await dialog().getByRole('button', { name: button, exact: true }).click()
    await dialog().waitFor({ state: 'detached' })
  }
  const press = (name: string) => main().getByRole('button', { name, exact: true }).first().click()
  const guest = async (name: string) => cluster.backend.must('guest.show', { params: { guest: name } })
  const until = async (what: string, condition: () => Promise<boolean>) => {
    const deadline = performance.now() + 20_000
    while (!(await condition())) {
      if (performance.now() > deadline) throw new Error(`not within 20 s: ${what}`)
      await new Promise((resolve) => setTimeout(resolve, 100))
    }
  }

  test('its hardware: processors and memory after a look at what that does; cards that come, are limited and go', async () => {
    await open('web-1', 'hardware', 'Can be moved live')
    await browser.check('hardware')
    await browser.picture('guest-hardware')
    await press('Processors and memory')
    const save = dialog().getByRole('button', { name: 'Save' })
    assert.equal(await save.isDisabled(), true, 'nothing has been changed yet')
    await fill('Memory (GiB)', '0.01')
    await dialog()
      .getByText(/at least 16 MiB/)
      .waitFor()
    await fill('Memory (GiB)', '6')
    await fill('Processors', '6')
    await dialog().getByText('What this would do').waitFor()
    await browser.check('size')
    await browser.picture('guest-resize')
    await confirm('Save')
    await until('it has six', async () => (await guest('web-1')).cpus === 6)

    await press('Add a card')
    await fill('Hardware address', 'nonsense')
    await dialog()
      .getByText(/six bytes/)
      .waitFor()
    await fill('Hardware address', '52:54:00:00:00:99')
    await fill('To the guest (Mbit/s)', '100')
    await browser.check('add a card')
    await confirm('Add')
    const card = main().getByRole('group').filter({ hasText: '52:54:00:00:00:99' })
    await card.getByText('↓ 100 Mbit/s').waitFor()
    await card.getByRole('button', { name: 'Remove' }).click()
    const remove = dialog().getByRole('button', { name: 'Remove' })
    assert.equal(await remove.isDisabled(), true, 'not without the name')
    await dialog()
      .getByLabel(/type web-1/)
      .fill('web-1')
    await confirm('Remove')
    await card.waitFor({ state: 'detached' })
  })

  test('what is refused while it runs says why, and can be read by the keyboard', async () => {
    await open('web-1', 'hardware', 'Can be moved live')
    const screen = main().getByRole('button', { name: 'Screen and watchdog' })
    assert.equal(await screen.getAttribute('aria-disabled'), 'true')
    assert.equal(await screen.getAttribute('aria-description'), 'It must be stopped first')
    await open('scratch', 'hardware', 'Can be moved live')
    await press('Screen and watchdog')
    await dialog().getByLabel('Display').click()
    await browser.page.getByRole('option', { name: 'screen and keyboard' }).click()
    await confirm('Save')
    await until('it has a screen', async () => (await guest('scratch')).display === 'vga')
    await press('Change the CD')
    await dialog().getByLabel('Boots first').click()
    await browser.page.getByRole('option', { name: 'from the CD' }).click()
    await browser.check('cd')
    await confirm('Save')
    await main().getByText('from the CD → from the disk').waitFor()
  })

  test('its disks: one more, larger, limited, another replica, and given back', async () => {
    await open('mail', 'disks', 'in sync')
    await browser.check('disks')
    await press('Add a disk')
    await fill('Size (GiB)', '5')
    await browser.check('add a disk')
    await confirm('Add')
    const panel = main().getByRole('region', { name: 'disk1' })
    await panel.waitFor()
    await until('it is attached', async () => {
      const { items } = await cluster.backend.must('volume.list', {})
      return items.some(({ guest: name, name: disk, attachment }) =>
        name === 'mail' && disk === 'disk1' ? attachment === 'attached' : false,
      )
    })
    await panel.getByRole('button', { name: 'Grow' }).click()
    await fill('Size (GiB)', '4')
    await dialog()
      .getByText(/must become larger than 5 GiB/)
      .waitFor()
    await fill('Size (GiB)', '8')
    await confirm('Grow')
    await panel.getByText('8 GiB').waitFor()
    await panel.getByRole('button', { name: 'Limits' }).click()
    await fill('IO/s', '500')
    await fill('MiB/s', '100')
    await browser.check('limits of a disk')
    await confirm('Save')
    await panel.getByText('Limited to 500 IO/s, 100 MiB/s').waitFor()
    await panel.getByRole('button', { name: 'Move a replica' }).click()
    await dialog().getByLabel('To', { exact: true }).click()
    await browser.page.getByRole('option').first().click()
    await dialog().getByText('What this would do').waitFor()
    await browser.check('replica')
    await browser.picture('guest-replica')
    await confirm('Move a replica')
    await until('there are three', async () => (await guest('mail')).volumes[1]?.replicas.length === 3)
    await browser.picture('guest-disks')
    await until('the new one is in sync', async () => {
      const { items } = await cluster.backend.must('volume.list', {})
      return items.every(({ move }) => move === null)
    })
    await panel.getByRole('button', { name: 'Remove' }).click()
    await dialog().getByText('Its volume is kept').waitFor()
    await dialog()
      .getByLabel(/type mail/)
      .fill('mail')
    await browser.check('remove a disk')
    await confirm('Remove')
    await panel.waitFor({ state: 'detached' })
  })

  test('its snapshots: taken, gone back to by name, and by themselves', async () => {
    await open('files', 'snapshots', 'No snapshots')
    await press('Take a snapshot')
    await fill('Name', 'before-update')
    await browser.check('take a snapshot')
    await confirm('Take a snapshot')
    await main().getByRole('cell', { name: 'before-update' }).waitFor()
    await press('Schedule')
    await fill('Every', '6')
    await fill('Keep', '8')
    await browser.check('snapshot schedule')
    await confirm('Save')
    await main().getByText('taken every 6 hours, 8 are kept').waitFor()
    await until('it is ready', async () => {
      const { items } = await cluster.backend.must('snapshot.list', { params: { guest: 'files' } })
      return items.some(({ state, name }) => name === 'before-update' && state === 'ready')
    })
    await browser.check('snapshots')
    await browser.picture('guest-snapshots')
    // The schedule may have taken one meanwhile, which does not survive it.
    browser.expect(/409/)
    await main()
      .getByRole('row', { name: /before-update/ })
      .getByRole('button', { name: 'Roll back' })
      .click()
    await dialog()
      .getByLabel(/Delete newer snapshots/)
      .check()
    await dialog().getByText('What this would do').waitFor()
    await browser.check('roll back')
    const rollBack = dialog().getByRole('button', { name: 'Roll back' })
    assert.equal(await rollBack.isDisabled(), true)
    await dialog()
      .getByLabel(/type files/)
      .fill('files')
    assert.equal(await rollBack.isEnabled(), true)
  })

  test('its options: a probe, something at set times, and what HA tries', async () => {
    browser.expect(undefined)
    await open('monitoring', 'options', 'Nobody looks whether it is ready')
    await browser.check('options')
    await press('Add a probe')
    await dialog().getByLabel('What is tried').click()
    await browser.page.getByRole('option', { name: 'A web request is answered' }).click()
    await fill('Path', 'health')
    await dialog()
      .getByText(/must be a path/)
      .waitFor()
    await fill('Path', '/health')
    await fill('Address', '192.0.2.7')
    await browser.check('probe')
    await confirm('Save')
    await main().getByText('A web request is answered').waitFor()
    const schedules = main().getByRole('region', { name: 'At set times' })
    await schedules.getByRole('button', { name: 'Add' }).click()
    await fill('When', '61 * * * *')
    await dialog()
      .getByText(/minute|61/)
      .first()
      .waitFor()
    await fill('When', '30 3 * * sun')
    await browser.check('schedule')
    await confirm('Add')
    await schedules.getByText('30 3 * * sun').waitFor()
    await browser.check('options, filled in')
    await browser.picture('guest-options')
    await schedules.getByRole('button', { name: 'Remove nightly' }).click()
    await confirm('Remove')
    await schedules.getByText('Nothing is done at set times').waitFor()
  })

  test('who may do what with it: a role is given, what decides is told, and it is taken away', async () => {
    await cluster.backend.must('user.create', { body: { name: 'carol' } })
    await open('mail', 'permissions', 'Nothing was given here')
    await press('Give a role')
    await dialog().getByLabel('Who').click()
    await browser.page.getByRole('option', { name: 'carol (user)' }).click()
    await browser.check('give a role')
    await confirm('Give a role')
    await main().getByRole('cell', { name: 'GuestUser' }).waitFor()
    const ask = async (privilege: string) => {
      await main().getByLabel('User or token').fill('carol')
      await main().getByLabel('Privilege').click()
      await browser.page.getByRole('option', { name: privilege }).click()
      await press('Ask')
    }
    await ask('guest.operate')
    await browser.see(/carol may: .*GuestUser/)
    await ask('guest.delete')
    await browser.see('carol may not:')
    await browser.check('permissions')
    await browser.picture('guest-permissions')
    await press('Take away')
    await confirm('Take away')
    await main().getByText('Nothing was given here').waitFor()
  })
})
