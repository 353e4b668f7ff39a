import { Alert } from '@mantine/core'
import type { GuestView } from '@stead/api/views.ts'
import { useLanguage, useText } from '../i18n/texts.ts'
import { bytesText } from '../parts/figures.ts'
import { Icon } from '../parts/icon.tsx'
import { Facts, Panel, Panels } from '../parts/page.tsx'
import classes from './guest-tabs.module.css'

export function GuestHardware({ guest }: { guest: GuestView }) {
  const t = useText()
  const language = useLanguage()
  const { platform } = guest
  const yesNo = (value: boolean) => t(value ? 'word.yes' : 'word.no')
  const upTo = (now: string | number, most: string | number | null) =>
    most === null ? now : t('hardware.upTo', { now, most })
  return (
    <div className={classes.column}>
      {guest.pending.length === 0 ? null : (
        <Alert color="yellow" variant="light" icon={<Icon name="restart" />} title={t('hardware.pending')}>
          <ul className={classes.list}>
            {guest.pending.map((change) => (
              <li key={JSON.stringify(change)}>{pendingText(change)}</li>
            ))}
          </ul>
        </Alert>
      )}
      <Panels>
        <Panel title={t('hardware.machine')}>
          <Facts
            items={[
              [t('column.cpus'), upTo(guest.cpus, guest.maximum.cpus)],
              [
                t('column.memory'),
                upTo(
                  bytesText(guest.memoryBytes, language),
                  guest.maximum.memoryBytes === null ? null : bytesText(guest.maximum.memoryBytes, language),
                ),
              ],
              guest.balloonBytes === null
                ? undefined
                : [t('hardware.balloon'), bytesText(guest.balloonBytes, language)],
              guest.kind === 'vm' ? [t('hardware.firmware'), platform.firmware] : undefined,
              guest.kind === 'vm' ? [t('hardware.tpm'), yesNo(platform.tpm)] : undefined,
              guest.kind === 'vm' ? [t('hardware.watchdog'), platform.watchdog ?? t('word.no')] : undefined,
              guest.kind === 'vm' ? [t('hardware.display'), guest.display] : undefined,
              platform.hugePages === null ? undefined : [t('hardware.hugePages'), platform.hugePages],
              [t('hardware.dedicated'), yesNo(platform.dedicatedCpus)],
              [
                t('hardware.devices'),
                Object.entries(platform.devices)
                  .map(([name, count]) => `${count} × ${name}`)
                  .join(', ') || '–',
              ],
              [t('hardware.live'), platform.whyNotMigratable === '' ? t('word.yes') : platform.whyNotMigratable],
            ]}
          />
        </Panel>
        <Panel title={t('hardware.network')}>
          {guest.nics.length === 0 ? <p className={classes.dim}>{t('hardware.noNic')}</p> : null}
          {guest.nics.map((nic) => (
            <Facts
              key={nic.mac}
              items={[
                [t('hardware.nic', { slot: nic.slot }), <code key="mac">{nic.mac}</code>],
                [t('hardware.nicNetwork'), nic.network],
                nic.addresses === undefined ? undefined : [t('guest.addresses'), nic.addresses.join(', ')],
                nic.gateways === undefined ? undefined : [t('hardware.gateways'), nic.gateways.join(', ')],
              ]}
            />
          ))}
        </Panel>
        {guest.container ? (
          <Panel title={t('guest.container')}>
            <Facts
              items={[
                [t('guest.template'), guest.container.template],
                [t('hardware.hostname'), guest.container.hostname],
                [t('hardware.privileged'), yesNo(guest.container.privileged)],
                [t('hardware.nesting'), yesNo(guest.container.nesting)],
                [t('hardware.nameservers'), guest.container.nameservers.join(', ') || '–'],
              ]}
            />
          </Panel>
        ) : null}
      </Panels>
    </div>
  )
}

function pendingText(change: GuestView['pending'][number]): string {
  return `${change.what}: ${change.why}`
}
