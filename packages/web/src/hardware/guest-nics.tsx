import { Button, Group } from '@mantine/core'
import { useState } from 'react'
import type { GuestView } from '@stead/api/views.ts'
import { obstacleToChange } from '../guests/guest-change.ts'
import classes from '../guests/guest-tabs.module.css'
import { useLanguage, useText } from '../i18n/texts.ts'
import { Facts, Panel } from '../parts/page.tsx'
import { RefusableButton } from '../parts/refusable-button.tsx'
import { nicLimitsText } from './limits-text.ts'
import { AddNicDialog, NicLimitsDialog, RemoveNicDialog } from './nic-dialogs.tsx'

type Nic = GuestView['nics'][number]
type Asked = { readonly dialog: 'limits' | 'remove'; readonly nic: Nic } | { readonly dialog: 'add' }

/** The network cards: where they lead, what they let through. */
export function GuestNics({ guest }: { guest: GuestView }) {
  const t = useText()
  const language = useLanguage()
  const [asked, setAsked] = useState<Asked>()
  const close = () => setAsked(undefined)
  return (
    <Panel
      title={t('hardware.network')}
      aside={
        <RefusableButton
          size="compact-xs"
          variant="default"
          obstacle={obstacleToChange('addNic', guest)}
          onClick={() => setAsked({ dialog: 'add' })}
        >
          {t('change.addNicButton')}
        </RefusableButton>
      }
    >
      {guest.nics.length === 0 ? <p className={classes.dim}>{t('hardware.noNic')}</p> : null}
      {guest.nics.map((nic) => (
        <div key={nic.mac} role="group" aria-label={t('hardware.nic', { slot: nic.slot })} className={classes.part}>
          <Facts
            items={[
              [t('hardware.nic', { slot: nic.slot }), <code key="mac">{nic.mac}</code>],
              [t('hardware.nicNetwork'), nic.network],
              nic.addresses === undefined ? undefined : [t('guest.addresses'), nic.addresses.join(', ')],
              nic.gateways === undefined ? undefined : [t('hardware.gateways'), nic.gateways.join(', ')],
              [t('change.limits'), nicLimitsText(nic.limits, language) || t('change.noLimit')],
            ]}
          />
          <Group mt={6} gap={8}>
            <Button size="compact-xs" variant="default" onClick={() => setAsked({ dialog: 'limits', nic })}>
              {t('change.limits')}
            </Button>
            <RefusableButton
              size="compact-xs"
              variant="default"
              obstacle={obstacleToChange('resize', guest)}
              onClick={() => setAsked({ dialog: 'remove', nic })}
            >
              {t('change.remove')}
            </RefusableButton>
          </Group>
        </div>
      ))}
      {asked?.dialog === 'add' ? <AddNicDialog guest={guest} onClose={close} /> : null}
      {asked?.dialog === 'limits' ? <NicLimitsDialog guest={guest} nic={asked.nic} onClose={close} /> : null}
      {asked?.dialog === 'remove' ? <RemoveNicDialog guest={guest} nic={asked.nic} onClose={close} /> : null}
    </Panel>
  )
}
