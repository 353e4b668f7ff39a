/** Whose signatures make an archive trusted as a template, and whether one is demanded. Part of the cluster's policy. */
import { Select, Textarea } from '@mantine/core'
import { useState } from 'react'
import { ENDPOINTS } from '@stead/api/endpoints.ts'
import type { PolicyView } from '@stead/api/views.ts'
import { useText } from '../i18n/texts.ts'
import { ChangeDialog } from '../parts/change-dialog.tsx'
import { Panel } from '../parts/page.tsx'
import { RefusableButton } from '../parts/refusable-button.tsx'
import { complaintOf } from '../parts/schema-complaint.ts'
import { NameField } from '../parts/text-field.tsx'
import classes from './listing.module.css'

const DEMANDS = ['optional', 'demanded'] as const
type Demand = (typeof DEMANDS)[number]
type Asking = { readonly kind: 'add' } | { readonly kind: 'remove'; readonly name: string }

export interface TemplateKeysProps {
  readonly policy: PolicyView
  readonly refusal: string | undefined
  readonly demand: Demand
  readonly onDemand: (demand: Demand) => void
}

export function TemplateKeys({ policy, refusal, demand, onDemand }: TemplateKeysProps) {
  const t = useText()
  const [asking, setAsking] = useState<Asking>()
  const keys = Object.entries(policy.templateKeys ?? {})
  const close = () => setAsking(undefined)
  return (
    <Panel
      title={t('keys.title')}
      aside={
        <RefusableButton
          size="compact-xs"
          variant="default"
          refusal={refusal}
          onClick={() => setAsking({ kind: 'add' })}
        >
          {t('keys.add')}
        </RefusableButton>
      }
    >
      <Select
        label={t('keys.demand')}
        data={DEMANDS.map((value) => ({ value, label: t(`keys.demand.${value}`) }))}
        value={demand}
        onChange={(next) => onDemand((next ?? demand) as Demand)}
        allowDeselect={false}
      />
      {keys.length === 0 ? <p className={classes.dim}>{t('keys.none')}</p> : null}
      <ul className={classes.keys}>
        {keys.map(([name, key]) => (
          <li key={name}>
            <span>
              <strong>{name}</strong> <code title={key}>{`…${key.slice(-16)}`}</code>
            </span>
            <RefusableButton
              size="compact-xs"
              variant="default"
              refusal={refusal}
              aria-label={t('keys.removeOne', { name })}
              onClick={() => setAsking({ kind: 'remove', name })}
            >
              {t('keys.remove')}
            </RefusableButton>
          </li>
        ))}
      </ul>
      {asking?.kind === 'add' ? <AddKeyDialog policy={policy} onClose={close} /> : null}
      {asking?.kind === 'remove' ? (
        <ChangeDialog
          title={t('keys.askRemove', { name: asking.name })}
          confirm={t('keys.remove')}
          danger={{ text: t('keys.removeText') }}
          call={(client) => {
            const { [asking.name]: _, ...templateKeys } = policy.templateKeys ?? {}
            return client.call(ENDPOINTS['policy.set'], { body: { templateKeys } }, { ifMatch: policy.revision })
          }}
          onClose={close}
        />
      ) : null}
    </Panel>
  )
}

function AddKeyDialog({ policy, onClose }: { policy: PolicyView; onClose: () => void }) {
  const t = useText()
  const [name, setName] = useState('')
  const [text, setText] = useState('')
  // What follows the key in a .pub file is a remark.
  const key = text.trim().split(/\s+/).slice(0, 2).join(' ')
  const body = { templateKeys: { ...policy.templateKeys, [name.trim()]: key } }
  const isTaken = policy.templateKeys?.[name.trim()] !== undefined
  const complaint = isTaken ? t('keys.taken') : complaintOf(ENDPOINTS['policy.set'].body, body)
  return (
    <ChangeDialog
      title={t('keys.add')}
      confirm={t('keys.add')}
      complaint={(name === '' || text === '') && complaint !== undefined ? '' : complaint}
      call={(client) => client.call(ENDPOINTS['policy.set'], { body }, { ifMatch: policy.revision })}
      onClose={onClose}
    >
      <NameField value={name} onChange={setName} description={t('keys.nameText')} />
      <Textarea
        label={t('keys.key')}
        description={t('keys.keyText')}
        value={text}
        onChange={(event) => setText(event.currentTarget.value)}
        rows={3}
        spellCheck={false}
      />
    </ChangeDialog>
  )
}
