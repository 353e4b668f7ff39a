/** The machine and its parts, what of it waits for the next start, and what changes it. */
import { Alert, Group } from '@mantine/core'
import { useState, type ReactNode } from 'react'
import type { GuestView } from '@stead/api/views.ts'
import { ContainerDialog } from '../hardware/container-dialog.tsx'
import { CloudInitDialog, MachineDialog, MediumDialog, SizeDialog } from '../hardware/guest-change-dialogs.tsx'
import { GuestNics } from '../hardware/guest-nics.tsx'
import type { TextKey } from '../i18n/language.ts'
import { useLanguage, useText } from '../i18n/texts.ts'
import { bytesText } from '../parts/figures.ts'
import { Icon } from '../parts/icon.tsx'
import { Facts, Panel, Panels } from '../parts/page.tsx'
import { RefusableButton } from '../parts/refusable-button.tsx'
import { obstacleToChange, type GuestChange } from './guest-change.ts'
import classes from './guest-tabs.module.css'

const DIALOGS = {
  resize: { text: 'change.sizeButton', Dialog: SizeDialog },
  machine: { text: 'change.machineButton', Dialog: MachineDialog },
  medium: { text: 'change.mediumButton', Dialog: MediumDialog },
  cloudInit: { text: 'change.cloudInitButton', Dialog: CloudInitDialog },
  container: { text: 'change.containerButton', Dialog: ContainerDialog },
} as const satisfies Record<string, { text: TextKey; Dialog: unknown }>
type DialogName = keyof typeof DIALOGS

const obstacleTo = (name: DialogName, guest: GuestView) =>
  name === 'container' ? obstacleToChange('assign', guest) : obstacleToChange(name satisfies GuestChange, guest)

export function GuestHardware({ guest }: { guest: GuestView }) {
  const [asked, setAsked] = useState<DialogName>()
  const t = useText()
  const Dialog = asked && DIALOGS[asked].Dialog
  const buttons = (...names: readonly DialogName[]): ReactNode => (
    <Group mt="md" gap={8}>
      {names.map((name) => (
        <RefusableButton
          key={name}
          size="compact-xs"
          variant="default"
          obstacle={obstacleTo(name, guest)}
          onClick={() => setAsked(name)}
        >
          {t(DIALOGS[name].text)}
        </RefusableButton>
      ))}
    </Group>
  )
  const isMachine = guest.kind === 'vm'
  return (
    <div className={classes.column}>
      {guest.pending.length === 0 ? null : (
        <Alert
          color="yellow"
          variant="light"
          icon={<Icon name="restart" />}
          title={t('hardware.pending')}
          classNames={{ title: classes.alertTitle }}
        >
          <ul className={classes.list}>
            {guest.pending.map((change) => (
              <li key={JSON.stringify(change)}>
                {change.what}: {change.why}
              </li>
            ))}
          </ul>
        </Alert>
      )}
      <Panels>
        <Panel title={t('hardware.machine')}>
          <MachineFacts guest={guest} />
          {isMachine ? buttons('resize', 'machine') : buttons('resize')}
        </Panel>
        <GuestNics guest={guest} />
        {isMachine ? (
          <Panel title={t('change.media')}>
            <MediaFacts guest={guest} />
            {buttons('medium', 'cloudInit')}
          </Panel>
        ) : null}
        {guest.container ? (
          <Panel title={t('guest.container')}>
            <ContainerFacts container={guest.container} />
            {buttons('container')}
          </Panel>
        ) : null}
      </Panels>
      {Dialog ? <Dialog guest={guest} onClose={() => setAsked(undefined)} /> : null}
    </div>
  )
}

function MachineFacts({ guest }: { guest: GuestView }) {
  const t = useText()
  const language = useLanguage()
  const { platform, kind, maximum } = guest
  const isMachine = kind === 'vm'
  const size = (bytes: number) => bytesText(bytes, language)
  const upTo = (now: string | number, most: string | number | null) =>
    most === null ? now : t('hardware.upTo', { now, most })
  const devices = Object.entries(platform.devices).map(([name, count]) => `${count} × ${name}`)
  return (
    <Facts
      items={[
        [t('column.cpus'), upTo(guest.cpus, maximum.cpus)],
        [
          t('column.memory'),
          upTo(size(guest.memoryBytes), maximum.memoryBytes === null ? null : size(maximum.memoryBytes)),
        ],
        guest.balloonBytes === null ? undefined : [t('hardware.balloon'), size(guest.balloonBytes)],
        isMachine ? [t('hardware.firmware'), platform.firmware] : undefined,
        isMachine ? [t('hardware.tpm'), t(platform.tpm ? 'word.yes' : 'word.no')] : undefined,
        isMachine
          ? [
              t('hardware.watchdog'),
              platform.watchdog === null ? t('word.no') : t(`change.watchdog.${platform.watchdog}`),
            ]
          : undefined,
        isMachine ? [t('hardware.display'), t(`change.display.${guest.display}`)] : undefined,
        platform.hugePages === null ? undefined : [t('hardware.hugePages'), platform.hugePages],
        isMachine && platform.numaNodes > 1 ? [t('hardware.numaNodes'), platform.numaNodes] : undefined,
        [t('hardware.dedicated'), t(platform.dedicatedCpus ? 'word.yes' : 'word.no')],
        devices.length === 0 ? undefined : [t('hardware.devices'), devices.join(', ')],
        [t('hardware.live'), platform.whyNotMigratable === '' ? t('word.yes') : platform.whyNotMigratable],
      ]}
    />
  )
}

function MediaFacts({ guest: { media } }: { guest: GuestView }) {
  const t = useText()
  return (
    <Facts
      items={[
        [t('change.cdrom'), media.cdrom === null ? t('change.noDrive') : (media.cdrom.image ?? t('change.emptyDrive'))],
        [t('change.bootOrder'), media.bootOrder.map((device) => t(`change.bootFirst.${device}`)).join(' → ')],
        [t('change.cloudInitFact'), t(media.cloudInit ? 'word.yes' : 'word.no')],
      ]}
    />
  )
}

function ContainerFacts({ container }: { container: NonNullable<GuestView['container']> }) {
  const t = useText()
  const list = (words: readonly string[]) => words.join(', ') || '–'
  return (
    <Facts
      items={[
        [t('guest.template'), container.template],
        [t('hardware.hostname'), container.hostname],
        [t('hardware.nameservers'), list(container.nameservers)],
        [t('change.searchDomains'), list(container.searchDomains)],
        [t('hardware.privileged'), t(container.privileged ? 'word.yes' : 'word.no')],
        [t('hardware.nesting'), t(container.nesting ? 'word.yes' : 'word.no')],
        container.mounts.length === 0
          ? undefined
          : [t('change.mounts'), container.mounts.map(({ path }) => path).join(', ')],
      ]}
    />
  )
}
