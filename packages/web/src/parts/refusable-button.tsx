import { Button, Tooltip, type ButtonProps } from '@mantine/core'
import type { ReactNode } from 'react'
import type { TextKey } from '../i18n/language.ts'
import { useText } from '../i18n/texts.ts'

export interface RefusableButtonProps extends ButtonProps {
  readonly children: ReactNode
  /** Why it would be refused: the button stays, says so, and does nothing. */
  readonly obstacle?: TextKey | undefined
  /** The same in words that stand already. */
  readonly refusal?: string | undefined
  readonly 'aria-label'?: string
  readonly onClick: () => void
}

export function RefusableButton({ obstacle, refusal, onClick, children, ...look }: RefusableButtonProps) {
  const t = useText()
  const reason = obstacle === undefined ? refusal : t(obstacle)
  const isRefused = reason !== undefined
  return (
    <Tooltip label={reason ?? ''} disabled={!isRefused} multiline maw={280}>
      <Button
        {...look}
        // Not `disabled`: the reason must be reached by the keyboard as well.
        data-disabled={isRefused || undefined}
        aria-disabled={isRefused}
        aria-description={reason}
        onClick={() => (isRefused ? undefined : onClick())}
      >
        {children}
      </Button>
    </Tooltip>
  )
}
